import { limits } from "./limits.ts";
import { makeRecent } from "./recent.ts";
import type { Clock } from "./ports.ts";

/** What was purged and when, so that what was fetched before does not come back after it. */
export interface Tombstones {
  /** `key`: a digest, `<upstream>/<repository>:<tag>`, or `<upstream>/<repository>` for all its tags. */
  put(key: string, atMs: number): void;
  /** Whether what was had from upstream at `sinceMs` (ms since the epoch) has been purged since. */
  isPurged(key: string, sinceMs: number): boolean;
  /**
   * The same of a copy that was had from a peer or S3 at `sinceMs`. For a while after the purge whoever gave it may not have heard of it,
   * and the copy would bring back what was purged.
   */
  isCopyPurged(key: string, sinceMs: number): boolean;
}

export function makeTombstones(clock: Clock): Tombstones {
  const times = makeRecent<number>(clock, { ttlMs: limits.tombstoneMs, entriesMax: limits.tombstonesMax });
  const isPurged = (key: string, sinceMs: number): boolean => sinceMs <= (times.get(key) ?? -Infinity);
  return {
    put: (key, atMs) => times.set(key, Math.max(atMs, times.get(key) ?? 0)),
    isPurged,
    isCopyPurged: (key, sinceMs) => isPurged(key, sinceMs - limits.purgeSpreadMs),
  };
}
