import { budgetLimits as limits } from "./limits.ts";

interface Mark {
  /** Monotonic ms. */
  readonly at: number;
  readonly seq: number;
}

/** What of the counters was known when: puts answers to requests in order that the counters were not asked about. */
export class BudgetMarks {
  readonly #marks: Mark[] = [];

  mark(at: number, seq: number): void {
    const [before, last] = this.#marks.slice(-2);
    // Of marks that are close together the last one is enough: the one before holds for less than what was known.
    if (before && last && last.at - before.at < limits.marksEveryMs) this.#marks.pop();
    this.#marks.push({ at, seq });
    if (this.#marks.length > limits.marksMax) this.#marks.shift();
  }

  /** 0: that was too long ago. */
  at(askedAt: number): number {
    return this.#marks.findLast(({ at }) => at < askedAt)?.seq ?? 0;
  }

  /** The counters are other ones than before. */
  clear(): void {
    this.#marks.length = 0;
  }
}
