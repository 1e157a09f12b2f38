import type { Clock } from "@pullring/core";

/** Until then every node should have the new file; nodes that have it go on signing by the old secret, which all of them know. */
const spreadMs = 120_000;
/** And so long the old one is still accepted. */
const acceptedMs = 720_000;

/**
 * The secrets of the peers, the one to sign by first. A file is not replaced on all nodes at the same moment: without this they would refuse
 * each other meanwhile.
 */
export function replacing(read: () => string, clock: Pick<Clock, "monotonic">): () => readonly string[] {
  let current = read();
  let before: { readonly secret: string; readonly replacedMs: number } | undefined;
  return () => {
    const now = read();
    if (now !== current) {
      before = { secret: current, replacedMs: clock.monotonic() };
      current = now;
    }
    const sinceMs = before ? clock.monotonic() - before.replacedMs : Infinity;
    if (!before || sinceMs > acceptedMs) return [current];
    return sinceMs < spreadMs ? [before.secret, current] : [current, before.secret];
  };
}
