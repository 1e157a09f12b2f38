import { PullringError, type Clock } from "@pullring/core";

import { limits } from "./limits.ts";
import { WireError, type WireFault } from "./wire-error.ts";

export interface Retry {
  readonly clock: Clock;
  readonly random: () => number;
  /** Tries after the first; 2 unless told. */
  readonly retriesMax?: number;
  /** What else than a reset or a 5xx is worth another try. */
  readonly also?: WireFault;
  readonly signal?: AbortSignal | undefined;
}

/** Runs `attempt` again after a reset or a 5xx, with pauses that double and have jitter. Never after a 429. */
export async function retrying<T>(retry: Retry, attempt: () => Promise<T>): Promise<T> {
  const { clock, random, retriesMax = limits.retriesMax, also, signal } = retry;
  for (let tries = 0; ; tries += 1) {
    try {
      return await attempt();
    } catch (error) {
      const fault = error instanceof PullringError && error.cause instanceof WireError ? error.cause.fault : undefined;
      if (tries >= retriesMax || fault === undefined || (fault !== "reset" && fault !== also)) throw error;
      await clock.sleep(limits.retryPauseMs * 2 ** tries * (0.5 + random()), signal);
    }
  }
}
