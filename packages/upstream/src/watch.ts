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

/** `onLate` is called once at most, and not after `stop`. */
export function makeWatch(clock: Clock, onLate: (error: WireError) => void): Watch {
  const ended = new AbortController();
  let phase: "queue" | "head" | "body" = "queue";
  let since = clock.monotonic();
  let heldSince: number | undefined;
  const window = { startedMs: 0, bytes: 0 };

  /** The error that is due at `dueMs` unless something happens before. */
  function next(): { dueMs: number; error: () => WireError } {
    const late = (ms: number, fault: "silent" | "cut", why: string) => ({
      dueMs: since + ms,
      error: () => new WireError(fault, why),
    });
    if (phase === "queue") return late(limits.queueMs, "silent", "no free connection in time");
    if (phase === "head") return late(limits.headMs, "silent", `no answer within ${limits.headMs} ms`);
    const idle = late(limits.idleMs, "cut", `no byte for ${limits.idleMs} ms`);
    const windowEndMs = window.startedMs + limits.rateWindowMs;
    if (idle.dueMs <= windowEndMs) return idle;
    return { dueMs: windowEndMs, error: () => new WireError("cut", `${window.bytes} bytes in a whole window`) };
  }

  const openWindow = (): void => void Object.assign(window, { startedMs: clock.monotonic(), bytes: 0 });

  /** A window that ends with enough bytes is followed by the next one. */
  const passes = (): boolean =>
    phase === "body" &&
    clock.monotonic() - since < limits.idleMs &&
    window.bytes >= (limits.rateBytesPerSecMin * limits.rateWindowMs) / 1000;

  async function run(): Promise<void> {
    while (!ended.signal.aborted) {
      const { dueMs, error } = next();
      const leftMs = heldSince === undefined ? dueMs - clock.monotonic() : limits.idleMs;
      if (leftMs > 0) await clock.sleep(leftMs, ended.signal);
      else if (passes()) openWindow();
      else return (ended.abort(), onLate(error()));
    }
  }
  // Rejects only when stopped.
  run().catch(() => {});

  const enter = (entered: typeof phase): void => {
    phase = entered;
    since = clock.monotonic();
    openWindow();
  };

  return {
    sent: () => enter("head"),
    headed: () => enter("body"),
    received(bytes) {
      since = clock.monotonic();
      window.bytes += bytes;
    },
    hold() {
      heldSince ??= clock.monotonic();
    },
    release() {
      if (heldSince === undefined) return;
      window.startedMs += clock.monotonic() - heldSince;
      since = clock.monotonic();
      heldSince = undefined;
    },
    stop: () => ended.abort(),
  };
}
