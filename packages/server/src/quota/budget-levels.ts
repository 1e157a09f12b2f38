import { quotaLimits as limits } from "./limits.ts";

/** Which level a budget has just fallen below; told once, until the budget has filled up again. */
export class BudgetLevels {
  /** How many of the levels were told. */
  #told = 0;

  /** `left` is the part of the budget that is left. undefined = nothing to tell. */
  fell(left: number): number | undefined {
    const below = limits.levels.filter((level) => left <= level).length;
    while (this.#told > below && left >= (limits.levels[this.#told - 1] ?? 0) + limits.refilled) this.#told -= 1;
    if (below <= this.#told) return undefined;
    this.#told = below;
    return limits.levels[below - 1];
  }
}
