import type { Clock, NodeId } from "@pullring/core";

import { membershipLimits as limits } from "../limits.ts";

/** What came of asking a peer: it answered (whatever it said), refused the connection, or was silent. */
export type PeerReport = "ok" | "refused" | "timeout";

interface Standing {
  refusals: number;
  refusedAtMs: number;
  okAtMs?: number;
  /** Left out until then, and after that let in by one request at a time. */
  benchedUntilMs?: number;
  trialUntilMs: number;
}

/** Which peers this node leaves out for a while. No other node is told, and the ring does not move. */
export class PeerHealth {
  readonly #clock: Clock;
  readonly #standings = new Map<NodeId, Standing>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Returns whether the peer was benched, or came back, by this report. */
  report(node: NodeId, report: PeerReport): "benched" | "back" | undefined {
    const standing = this.#of(node);
    const wasBenched = standing.benchedUntilMs !== undefined;
    if (report === "ok") {
      this.#standings.set(node, { ...fresh(), okAtMs: this.#clock.monotonic() });
      return wasBenched ? "back" : undefined;
    }
    const nowMs = this.#clock.monotonic();
    if (report === "refused") {
      const isRecent = nowMs - standing.refusedAtMs < limits.benchMs;
      standing.refusals = isRecent ? standing.refusals + 1 : 1;
      standing.refusedAtMs = nowMs;
    }
    if (report === "refused" && standing.refusals < limits.refusalsToBench && !wasBenched) return undefined;
    standing.benchedUntilMs = nowMs + limits.benchMs;
    return wasBenched ? undefined : "benched";
  }

  /** Until it has answered again. */
  isBenched(node: NodeId): boolean {
    return this.#standings.get(node)?.benchedUntilMs !== undefined;
  }

  /** Whether a request may go to a benched peer now, to see whether it is back; the next may only when nothing came of this one. */
  takeTrial(node: NodeId): boolean {
    const standing = this.#of(node);
    const nowMs = this.#clock.monotonic();
    if (nowMs < (standing.benchedUntilMs ?? 0) || nowMs < standing.trialUntilMs) return false;
    standing.trialUntilMs = nowMs + limits.trialMs;
    return true;
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

const fresh = (): Standing => ({ refusals: 0, refusedAtMs: -Infinity, trialUntilMs: -Infinity });
