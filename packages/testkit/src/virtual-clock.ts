import { setImmediate as turn } from "node:timers/promises";

interface Sleeper {
  readonly wakeAt: number;
  wake(): void;
}

export interface VirtualClock {
  now(): number;
  monotonic(): number;
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Moves time on, waking sleepers in their order; those who go to sleep on the way wake too if their time has come. */
  advance(ms: number): Promise<void>;
  /** Sleepers. */
  readonly pending: number;
}

/** Turns of the event loop that whoever wakes gets before time goes on. */
const turnsPerStep = 3;

async function settle(): Promise<void> {
  for (let index = 0; index < turnsPerStep; index++) await turn();
}

/** A clock that only a test moves. */
export function virtualClock(startedAt: number = Date.UTC(2026, 0, 1)): VirtualClock {
  const sleepers = new Set<Sleeper>();
  let elapsedMs = 0;

  const earliest = (): Sleeper | undefined => [...sleepers].sort((left, right) => left.wakeAt - right.wakeAt)[0];

  function sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true) return Promise.reject(signal.reason as Error);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const abandon = (): void => {
      sleepers.delete(sleeper);
      reject(signal?.reason as Error);
    };
    const sleeper: Sleeper = {
      wakeAt: elapsedMs + Math.max(0, ms),
      wake() {
        sleepers.delete(sleeper);
        signal?.removeEventListener("abort", abandon);
        resolve();
      },
    };
    sleepers.add(sleeper);
    signal?.addEventListener("abort", abandon, { once: true });
    return promise;
  }

  async function advance(ms: number): Promise<void> {
    const until = elapsedMs + ms;
    await settle();
    for (let next = earliest(); next !== undefined && next.wakeAt <= until; next = earliest()) {
      elapsedMs = Math.max(elapsedMs, next.wakeAt);
      next.wake();
      await settle();
    }
    elapsedMs = until;
  }

  return {
    now: () => startedAt + elapsedMs,
    monotonic: () => elapsedMs,
    sleep,
    advance,
    get pending() {
      return sleepers.size;
    },
  };
}
