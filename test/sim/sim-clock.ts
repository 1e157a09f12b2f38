import { setImmediate as turn } from "node:timers/promises";

import type { Clock } from "@pullring/core";

import type { Random } from "../real/random.ts";

interface Sleeper {
  readonly wakeAtMs: number;
  /** Decides who of those that wake at the same time comes first. */
  readonly rank: number;
  readonly wake: () => void;
}

/** Time of one simulated run: it moves only from one sleeper to the next, and takes none itself. */
export interface SimClock extends Clock {
  /** Runs until it is so, or for so long; returns whether it is so. */
  runUntil(isSo: () => boolean, withinMs: number): Promise<boolean>;
}

/** A run takes about 5,000. */
const stepsMax = 200_000;
const startedAtMs = Date.UTC(2026, 0, 1);
const isEarlier = (a: Sleeper, b: Sleeper): boolean =>
  a.wakeAtMs < b.wakeAtMs || (a.wakeAtMs === b.wakeAtMs && a.rank < b.rank);

export function makeSimClock(random: Random): SimClock {
  const heap: Sleeper[] = [];
  let nowMs = 0;
  let steps = 0;

  function push(sleeper: Sleeper): void {
    let at = heap.length;
    heap.push(sleeper);
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = heap[above];
      if (!parent || !isEarlier(sleeper, parent)) break;
      heap[at] = parent;
      at = above;
    }
    heap[at] = sleeper;
  }

  function pop(): Sleeper | undefined {
    const first = heap[0];
    const last = heap.pop();
    if (!last || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      const left = heap[2 * at + 1];
      const right = heap[2 * at + 2];
      const child = right && left && isEarlier(right, left) ? right : left;
      if (!child || !isEarlier(child, last)) break;
      heap[at] = child;
      at = child === left ? 2 * at + 1 : 2 * at + 2;
    }
    heap[at] = last;
    return first;
  }

  return {
    now: () => startedAtMs + nowMs,
    monotonic: () => nowMs,
    sleep(ms, signal) {
      if (signal?.aborted) return Promise.reject(signal.reason as Error);
      return new Promise((resolve, reject) => {
        const abandon = (): void => reject(signal?.reason as Error);
        signal?.addEventListener("abort", abandon, { once: true });
        const wake = (): void => {
          signal?.removeEventListener("abort", abandon);
          resolve();
        };
        push({ wakeAtMs: nowMs + Math.max(0, ms), rank: random.next(), wake });
      });
    },
    async runUntil(isSo, withinMs) {
      const untilMs = nowMs + withinMs;
      // One turn of the event loop lets everything happen that only waits for promises.
      for (await turn(); !isSo(); await turn()) {
        const next = heap[0];
        if (!next || next.wakeAtMs > untilMs) {
          nowMs = untilMs;
          return isSo();
        }
        pop();
        steps += 1;
        if (steps > stepsMax) throw new Error("this run takes too many steps: something goes round in a circle");
        nowMs = Math.max(nowMs, next.wakeAtMs);
        next.wake();
      }
      return true;
    },
  };
}
