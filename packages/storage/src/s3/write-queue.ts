import type { Log } from "../log.ts";
import { limits } from "./limits.ts";

/** Small writes that nobody waits for: the last one for a key wins, and when there are too many the oldest go. */
export interface WriteQueue {
  add(key: string, write: () => Promise<void>): void;
  start(): void;
  readonly pending: number;
  idle(): Promise<void>;
  close(): Promise<void>;
}

export function makeWriteQueue(log: Log): WriteQueue {
  const waiting = new Map<string, () => Promise<void>>();
  const running = new Map<string, Promise<void>>();
  let idle = Promise.withResolvers<void>();
  let isStarted = false;
  let isClosed = false;
  let isFull = false;

  const pending = (): number => waiting.size + running.size;

  function work(): void {
    if (!isStarted || isClosed) return;
    for (const [key, write] of waiting) {
      if (running.size >= limits.recordsWritingMax) return;
      // Writes of one key keep their order.
      if (running.has(key)) continue;
      waiting.delete(key);
      const run = write()
        .catch((error: unknown) => log.warn({ err: error, key }, "a record can't be stored in S3"))
        .finally(() => {
          running.delete(key);
          settle();
          work();
        });
      running.set(key, run);
    }
  }

  function settle(): void {
    if (pending() > 0) return;
    idle.resolve();
    idle = Promise.withResolvers();
  }

  return {
    add(key, write) {
      if (isClosed) return;
      waiting.delete(key);
      waiting.set(key, write);
      const oldest = waiting.size > limits.recordsQueuedMax ? waiting.keys().next() : undefined;
      if (oldest && !oldest.done) {
        waiting.delete(oldest.value);
        if (!isFull)
          log.warn({ queued: waiting.size }, "more records wait for S3 than can be kept: the oldest are dropped");
      }
      isFull = oldest !== undefined;
      work();
    },
    start() {
      isStarted = true;
      work();
    },
    get pending() {
      return pending();
    },
    async idle() {
      while (pending() > 0) await idle.promise;
    },
    async close() {
      isClosed = true;
      if (pending() > 0) log.warn({ records: pending() }, "records for S3 are left undone");
      waiting.clear();
      await Promise.all(running.values());
      settle();
    },
  };
}
