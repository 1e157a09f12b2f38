import type { Clock } from "@pullring/core";

import { limits } from "./limits.ts";
import { WireError } from "./wire-error.ts";

/** Times one request: its wait for a connection, its head, then the pace of its body while nobody holds it back. */
export interface Watch {
  /** The request is on the wire. */
  sent(): void;
  /** The head is here. */
  headed(): void;
  received(bytes: number): void;
  /** From `hold` to `release` it is us who don't take more. */
  hold(): void;
  release(): void;
  stop(): void;
}

type Phase = "queue" | "head" | "body";

const patienceMs = { queue: limits.queueMs, head: limits.headMs, body: limits.idleMs };
const windowBytesMin = (limits.rateBytesPerSecMin * limits.rateWindowMs) / 1000;

/** `onLate` is called once at most, and not after `stop`. */
export function makeWatch(clock: Clock, onLate: (error: WireError) => void): Watch {
  const ended = new AbortController();
  let phase: Phase = "queue";
  let sinceMs = clock.monotonic();
  let held = false;
  let heldSinceMs = 0;
  const window = { startMs: 0, bytes: 0 };

  const openWindow = (): void => void Object.assign(window, { startMs: clock.monotonic(), bytes: 0 });

  /** Ms until the next moment at which something may be late; an error when it is. */
  function verdict(): number | WireError {
    if (held) return limits.watchTickMs;
    const nowMs = clock.monotonic();
    const idleLeftMs = sinceMs + patienceMs[phase] - nowMs;
    if (idleLeftMs <= 0) return lateError(phase);
    if (phase !== "body") return idleLeftMs;
    const windowLeftMs = window.startMs + limits.rateWindowMs - nowMs;
    if (windowLeftMs > 0) return Math.min(idleLeftMs, windowLeftMs);
    if (window.bytes < windowBytesMin)
      return new WireError("cut", `${window.bytes} bytes within ${limits.rateWindowMs} ms`);
    openWindow();
    return idleLeftMs;
  }

  async function run(): Promise<void> {
    while (!ended.signal.aborted) {
      const found = verdict();
      if (typeof found === "number") {
        await clock.sleep(Math.min(found, limits.watchTickMs), ended.signal);
      } else {
        ended.abort();
        onLate(found);
      }
    }
  }
  // Rejects only when stopped.
  run().catch(() => {});

  function enter(entered: Phase): void {
    phase = entered;
    sinceMs = clock.monotonic();
    openWindow();
  }

  return {
    sent: () => enter("head"),
    headed: () => enter("body"),
    received(bytes) {
      sinceMs = clock.monotonic();
      window.bytes += bytes;
    },
    hold() {
      held = true;
      heldSinceMs = clock.monotonic();
    },
    release() {
      if (!held) return;
      held = false;
      sinceMs = clock.monotonic();
      window.startMs += sinceMs - heldSinceMs;
    },
    stop: () => ended.abort(),
  };
}

const lateError = (phase: Phase): WireError =>
  phase === "body"
    ? new WireError("cut", `no byte for ${limits.idleMs} ms`)
    : new WireError("silent", `no ${phase === "queue" ? "free connection" : "answer"} within ${patienceMs[phase]} ms`);
