import { setTimeout as sleep } from "node:timers/promises";

export interface JumpingClock {
  now(): number;
  monotonic(): number;
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Moves time on at once; who sleeps wakes if his time has come. */
  jump(ms: number): void;
  /** Moves wall time on, and nobody wakes: for what is a matter of dates. */
  shift(ms: number): void;
}

/** The real clock, which a test can move on: for what waits for sockets as well as for time. */
export function jumpingClock(): JumpingClock {
  let jumpedMs = 0;
  let shiftedMs = 0;
  let jumped = new AbortController();
  const monotonic = (): number => performance.now() + jumpedMs;

  return {
    now: () => Date.now() + jumpedMs + shiftedMs,
    monotonic,
    async sleep(ms, signal) {
      signal?.throwIfAborted();
      for (const wakeAt = monotonic() + ms; monotonic() < wakeAt;) {
        const either = signal ? AbortSignal.any([signal, jumped.signal]) : jumped.signal;
        await sleep(Math.min(wakeAt - monotonic(), 2 ** 31 - 1), undefined, { ref: false, signal: either }).catch(
          () => {},
        );
        signal?.throwIfAborted();
      }
    },
    shift: (ms) => void (shiftedMs += ms),
    jump(ms) {
      jumpedMs += ms;
      jumped.abort();
      jumped = new AbortController();
    },
  };
}
