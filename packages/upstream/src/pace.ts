import type { Clock } from "@pullring/core";

/** Spends bytes; a returned promise says to wait before more are taken. */
export type Pace = (bytes: number) => void | Promise<void>;

/** So much of a second may pass at once after a pause. */
const burstShare = 0.1;

/** One token bucket for all bodies of an upstream; 0 = no limit. Never rejects. */
export function makePace(bytesPerSec: number, clock: Clock): Pace {
  if (bytesPerSec === 0) return () => {};
  const burstBytes = bytesPerSec * burstShare;
  let level = burstBytes;
  let filledAtMs = clock.monotonic();

  return (bytes) => {
    const nowMs = clock.monotonic();
    level = Math.min(burstBytes, level + ((nowMs - filledAtMs) * bytesPerSec) / 1000) - bytes;
    filledAtMs = nowMs;
    return level >= 0 ? undefined : clock.sleep((-level / bytesPerSec) * 1000);
  };
}
