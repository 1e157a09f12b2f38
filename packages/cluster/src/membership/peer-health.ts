import type { Clock, NodeId } from "@pullring/core";

import { membershipLimits as limits } from "../limits.ts";

/** What came of asking a peer: it answered (whatever it said), refused the connection, or was silent. */
export type PeerReport = "ok" | "refused" | "timeout";

interface Standing {
  refusals: number;
  refusedAtMs: number;
  okAtMs?: number;
  isBenched: boolean;
}

/** Which peers this node leaves out until they answer again. No other node is told, and the ring does not move. */
export class PeerHealth {
  readonly #clock: Clock;
  readonly #standings = new Map<NodeId, Standing>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Returns whether the peer was benched, or came back, by this report. */
  report(node: NodeId, report: PeerReport): "benched" | "back" | undefined {
    const standing = this.#of(node);
    const wasBenched = standing.isBenched;
    if (report === "ok") {
      this.#standings.set(node, { ...fresh(), okAtMs: this.#clock.monotonic() });
      return wasBenched ? "back" : undefined;
    }
    if (report === "refused") {
      const nowMs = this.#clock.monotonic();
      const isRecent = nowMs - standing.refusedAtMs < limits.refusalsApartMs;
      standing.refusals = isRecent ? standing.refusals + 1 : 1;
      standing.refusedAtMs = nowMs;
    }
    if (wasBenched || (report === "refused" && standing.refusals < limits.refusalsToBench)) return undefined;
    standing.isBenched = true;
    return "benched";
  }

  /** Until it has answered again. */
  isBenched(node: NodeId): boolean {
    return this.#standings.get(node)?.isBenched === true;
  }

  /** How long ago it answered this node, if it ever did. */
  okAgoMs(node: NodeId): number | undefined {
    const at = this.#standings.get(node)?.okAtMs;
    return at === undefined ? undefined : this.#clock.monotonic() - at;
  }

  /** Another process stands behind the id now, or none. */
  forget(node: NodeId): void {
    this.#standings.delete(node);
  }

  #of(node: NodeId): Standing {
    const standing = this.#standings.get(node) ?? fresh();
    this.#standings.set(node, standing);
    return standing;
  }
}

const fresh = (): Standing => ({ refusals: 0, refusedAtMs: -Infinity, isBenched: false });
