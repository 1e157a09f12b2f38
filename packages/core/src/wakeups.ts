import { limits } from "./limits.ts";
import type { Clock } from "./ports.ts";

/** Wakes the readers of a growing spool: at its first bytes at once, then in steps that are worth a system call. */
export interface Wakeups {
  next(): Promise<void>;
  /** The spool has grown to `end`. */
  grown(end: number): void;
  wake(): void;
}

export function makeWakeups(clock: Clock): Wakeups {
  let waiting: (() => void)[] = [];
  let wokenAt = 0;
  let scheduled = false;
  let latest = 0;

  function wake(): void {
    const woken = waiting;
    waiting = [];
    wokenAt = latest;
    for (const resolve of woken) resolve();
  }

  const growth = (): number => Math.min(limits.wakeGrowthMax, 1 + waiting.length * limits.wakeGrowthPerReader);

  async function wakeSoon(): Promise<void> {
    scheduled = true;
    await clock.sleep(limits.wakePauseMs * growth());
    scheduled = false;
    wake();
  }

  return {
    next: () => new Promise((resolve) => waiting.push(resolve)),
    grown(end) {
      latest = end;
      if (wokenAt === 0 || end - wokenAt >= limits.wakeBytes * growth()) wake();
      else if (!scheduled) void wakeSoon();
    },
    wake,
  };
}
