import { setTimeout as sleep } from "node:timers/promises";

/** Time that an idle line may catch up on, so that late timers do not cost bandwidth. */
const creditMs = 20;
/** Shorter waits than timers can keep are left to add up. */
const waitMsMin = 2;

export type Pace = (bytes: number, signal: AbortSignal) => Promise<void>;

/** Waits as long as a line of this rate would take for the bytes; one pace may be shared by many writers. */
export function makePace(rateOf: () => number | undefined): Pace {
  let freeAt = 0;
  return async (bytes, signal) => {
    const bytesPerSec = rateOf();
    if (bytesPerSec === undefined) return;
    const now = performance.now();
    freeAt = Math.max(freeAt, now - creditMs) + (bytes / bytesPerSec) * 1000;
    if (freeAt - now >= waitMsMin) await sleep(freeAt - now, undefined, { signal });
  };
}
