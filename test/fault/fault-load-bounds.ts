import type { Bounds, RunTimes } from "./fault-load-run.ts";

/** What is promised, measured for half a minute each. A median of one to two milliseconds on two cores moves by some tenths. */
export const fullTimes: RunTimes = { healthyMs: 30_000, faultMs: 30_000, hitsPerSec: 100, coldEveryMs: 500 };
export const fullBounds: Bounds = {
  medianTimes: 1.2,
  p99Times: 2,
  medianFloorMs: 0.5,
  p99FloorMs: 5,
  recoveryMs: 5_000,
  coldMs: 10_000,
};

/**
 * For every change, beside other work on the same cores, which makes hits ten times slower from one second to the next: so this finds
 * only what waits for something that failed, which is never for less than a deadline of 250 ms.
 */
export const briefTimes: RunTimes = { healthyMs: 1_000, faultMs: 2_000, hitsPerSec: 60, coldEveryMs: 400 };
export const briefBounds: Bounds = {
  medianTimes: 1.2,
  p99Times: 2,
  medianFloorMs: 100,
  p99FloorMs: 1_000,
  recoveryMs: 7_000,
  coldMs: 15_000,
};
