import { setImmediate as turn } from "node:timers/promises";

import type { Clock } from "@pullring/core";

export interface Deadline {
  readonly clock: Clock;
  readonly ms: number;
  /** What to reject with. */
  readonly late: () => Error;
}

/**
 * The work's outcome, or a rejection when it has none in time; the work itself goes on. After a stall of this process the
 * answer may lie unread behind the deadline, so the event loop gets one more turn to read it.
 */
export async function within<T>({ clock, ms, late }: Deadline, work: Promise<T>): Promise<T> {
  const settled = new AbortController();
  const expired = async (): Promise<never> => {
    await clock.sleep(ms, settled.signal);
    await turn();
    settled.signal.throwIfAborted();
    throw late();
  };
  const expiry = expired();
  // Both go on after the race is over, and nobody listens to the one that lost it.
  expiry.catch(() => {});
  work.catch(() => {});
  try {
    return await Promise.race([work, expiry]);
  } finally {
    settled.abort();
  }
}
