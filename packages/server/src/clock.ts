import { setTimeout as sleep } from "node:timers/promises";

import type { Clock } from "@pullring/core";

/** The process' own clock. Its sleepers do not keep the process alive: what must end before it is waited for by name. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  async sleep(ms, signal) {
    try {
      await sleep(ms, undefined, { ref: false, ...(signal ? { signal } : {}) });
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    }
  },
};

export const systemRandom = (): number => Math.random();
