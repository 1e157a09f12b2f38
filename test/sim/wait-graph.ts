import type { NodeId } from "@pullring/core";
import type { Digest } from "@pullring/oci";

import type { World } from "./world.ts";

interface Wait {
  readonly from: NodeId;
  readonly to: NodeId;
  readonly digest: Digest;
  movedAtMs: number;
}

/** Which node waits for which other's bytes of what. */
export interface WaitGraph {
  begin(from: NodeId, to: NodeId, digest: Digest): { moved(): void; end(): void };
  /** Nodes that have waited for each other's bytes of one digest for a while. */
  check(): void;
}

/** Two that ask each other at the same time are no cycle yet: each learns of it with the other's request. */
const meetingMs = 1_500;

export function makeWaitGraph({ clock, broken }: World): WaitGraph {
  const waits = new Set<Wait>();

  function leadsTo(node: NodeId, of: Wait, still: readonly Wait[], seen: Set<NodeId>): boolean {
    if (node === of.from) return true;
    if (seen.has(node)) return false;
    seen.add(node);
    return still.some(({ from, to, digest }) => from === node && digest === of.digest && leadsTo(to, of, still, seen));
  }

  return {
    begin(from, to, digest) {
      const wait = { from, to, digest, movedAtMs: clock.monotonic() };
      waits.add(wait);
      return {
        moved: () => (wait.movedAtMs = clock.monotonic()),
        end: () => void waits.delete(wait),
      };
    },
    check() {
      const still = [...waits].filter(({ movedAtMs }) => clock.monotonic() - movedAtMs > meetingMs);
      for (const wait of still)
        if (leadsTo(wait.to, wait, still, new Set()))
          broken(`I4: ${wait.from} and ${wait.to} wait for each other's ${wait.digest}`);
    },
  };
}
