import type { Clock } from "@pullring/core";

import { peerLimits } from "../limits.ts";
import { PeerFault } from "./peer-fault.ts";

export interface PeerWatchOptions {
  readonly clock: Clock;
  /** From the request on the wire to its head. */
  readonly headMs: number;
  /** Whether the peer shows a sign of life; absent = nobody asks it. Never rejects. */
  readonly isAlive?: () => Promise<boolean>;
  /** Called once at most, and not after `stop`. */
  readonly onLate: (fault: PeerFault) => void;
}

/** Times one exchange: its wait for a connection, its head, then its body while nobody holds it back. */
export interface PeerWatch {
  sent(): void;
  headed(): void;
  received(): void;
  /** From `hold` to `release` it is this end that takes no more. */
  hold(): void;
  release(): void;
  stop(): void;
}

type Phase = "queue" | "head" | "body";

/** A peer that hangs keeps its connections open, so only a question of its own tells it from one that waits for upstream. */
export function makePeerWatch({ clock, headMs, isAlive, onLate }: PeerWatchOptions): PeerWatch {
  const ended = new AbortController();
  const patienceMs = { queue: peerLimits.queueMs, head: headMs, body: peerLimits.idleMs };
  // An answer that is due within the time that the question takes needs none.
  const isOwner = headMs > peerLimits.leafHeadMs;
  const asked = { queue: Infinity, head: isOwner ? peerLimits.quietHeadMs : Infinity, body: peerLimits.quietBodyMs };
  const quietMs = isAlive ? asked : { queue: Infinity, head: Infinity, body: Infinity };
  let phase: Phase = "queue";
  let sinceMs = clock.monotonic();
  let moves = 0;
  let isHeld = false;

  const fault = (kind: "silent" | "late"): PeerFault => {
    if (phase === "queue") return new PeerFault("crowded", "no free connection");
    const what = phase === "head" ? "answer" : "byte";
    return new PeerFault(kind, `no ${what} for ${Math.round(clock.monotonic() - sinceMs)} ms`, phase === "body");
  };

  async function run(): Promise<void> {
    let suspected = -1;
    while (!ended.signal.aborted) {
      const seen = moves;
      const silentMs = isHeld ? 0 : clock.monotonic() - sinceMs;
      const leftMs = patienceMs[phase] - silentMs;
      if (leftMs <= 0) {
        // After a stall of our own the bytes may be here, unread.
        if (suspected === seen) return give(fault(quietMs[phase] === Infinity ? "silent" : "late"));
        suspected = seen;
        await clock.sleep(peerLimits.secondLookMs, ended.signal);
      } else if (isAlive && silentMs >= quietMs[phase]) {
        const lives = await isAlive();
        if (!lives && seen === moves && !isHeld) return give(fault("silent"));
        await clock.sleep(Math.min(leftMs, peerLimits.helloPauseMs), ended.signal);
      } else {
        const untilQuietMs = Math.max(1, quietMs[phase] - silentMs);
        await clock.sleep(Math.min(leftMs, untilQuietMs, peerLimits.watchTickMs), ended.signal);
      }
    }
  }

  function give(found: PeerFault): void {
    if (ended.signal.aborted) return;
    ended.abort();
    onLate(found);
  }

  function move(entered: Phase): void {
    phase = entered;
    moves += 1;
    sinceMs = clock.monotonic();
  }

  // Rejects only when stopped.
  run().catch(() => {});
  return {
    sent: () => move("head"),
    headed: () => move("body"),
    received: () => move("body"),
    hold: () => void (isHeld = true),
    release() {
      isHeld = false;
      move("body");
    },
    stop: () => ended.abort(),
  };
}
