import { PullringError, type Clock } from "@pullring/core";

import { limits } from "./limits.ts";

/** Times inside which nothing goes out. Keys are free text. */
export interface CoolDowns {
  begin(key: string, seconds: number, code?: "throttled" | "unavailable"): void;
  /** Throws, with the seconds left, inside the cool-down of any of the keys. */
  check(...keys: readonly string[]): void;
  isCooling(...keys: readonly string[]): boolean;
}

interface Pause {
  readonly untilMs: number;
  readonly code: "throttled" | "unavailable";
}

export function makeCoolDowns(upstream: string, clock: Clock): CoolDowns {
  const pauses = new Map<string, Pause>();

  const leftMs = (pause: Pause | undefined): number => (pause ? pause.untilMs - clock.monotonic() : 0);

  return {
    isCooling: (...keys) => keys.some((key) => leftMs(pauses.get(key)) > 0),
    begin(key, seconds, code = "throttled") {
      for (const [old, pause] of pauses) if (leftMs(pause) <= 0) pauses.delete(old);
      if (pauses.size >= limits.memoriesMax || leftMs(pauses.get(key)) > seconds * 1000) return;
      pauses.set(key, { untilMs: clock.monotonic() + seconds * 1000, code });
    },
    check(...keys) {
      for (const key of keys) {
        const pause = pauses.get(key);
        const left = leftMs(pause);
        if (!pause || left <= 0) continue;
        const retryAfterSec = Math.ceil(left / 1000);
        throw new PullringError(pause.code, `${upstream} is given a pause that it asked for`, { retryAfterSec });
      }
    },
  };
}
