import type { BudgetState } from "@pullring/core";

import { quotaLimits as limits } from "./limits.ts";

export interface Forecast {
  /** Counted requests an hour, by the last quarter of one. */
  readonly perHour: number;
  /** Ms since the epoch; undefined: it lasts until its window is over. */
  readonly emptyAt: number | undefined;
}

interface Sample {
  readonly atMs: number;
  readonly remaining: number;
  /** Spent by anybody, us or who shares the address, since the sample before. */
  readonly spent: number;
}

/** What became of one budget lately. */
export class SpendHistory {
  #samples: readonly Sample[] = [];

  /** `atMs` is monotonic. */
  add({ remaining }: BudgetState, atMs: number): void {
    if (remaining === undefined) {
      this.#samples = [];
      return;
    }
    const last = this.#samples.at(-1);
    const sample = { atMs, remaining, spent: last ? Math.max(0, last.remaining - remaining) : 0 };
    this.#samples = [...this.#samples.filter((one) => atMs - one.atMs <= limits.historyMs), sample];
  }

  /** undefined: not known yet, or unmetered. `now` is wall time, for what is told. */
  forecast({ resetAt, windowSec, remaining }: BudgetState, now: number): Forecast | undefined {
    const [first, ...rest] = this.#samples;
    const last = rest.at(-1);
    if (!first || !last || remaining === undefined) return undefined;
    const overMs = Math.max(last.atMs - first.atMs, limits.historyMsMin);
    const spent = rest.reduce((sum, sample) => sum + sample.spent, 0);
    const perHour = (spent / overMs) * 3_600_000;
    if (spent === 0) return { perHour: 0, emptyAt: remaining <= 0 ? now : undefined };
    const emptyAt = now + (Math.max(0, remaining) / perHour) * 3_600_000;
    return { perHour, emptyAt: emptyAt <= (resetAt ?? now + windowSec * 1000) ? emptyAt : undefined };
  }
}
