import type { Clock } from "@pullring/core";

import { limits } from "./limits.ts";

/** Keeps retries a share of the requests, so that a service in trouble is not asked twice as much for it. */
export interface RetryBudget {
  /** A request goes out. */
  spend(): void;
  /** Whether it may be tried again. */
  retry(): boolean;
}

export function makeRetryBudget(clock: Clock): RetryBudget {
  let saved: number = limits.retriesPerSec;
  let at = clock.monotonic();

  function save(retries: number): void {
    const now = clock.monotonic();
    saved = Math.min(limits.retriesSavedMax, saved + retries + ((now - at) / 1_000) * limits.retriesPerSec);
    at = now;
  }

  return {
    spend: () => save(limits.retryShare),
    retry() {
      save(0);
      if (saved < 1) return false;
      saved -= 1;
      return true;
    },
  };
}
