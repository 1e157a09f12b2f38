import { budgetLimits } from "@pullring/core";

import { quotaPlanOf } from "./quota-plan.ts";
import { scaledFlightMs, simulateQuota } from "./quota-simulate.ts";

export interface QuotaTally {
  readonly failures: readonly { readonly seed: number; readonly broken: readonly string[] }[];
  readonly runs: number;
  /** Requests that upstream refused, of those that the faults may cost. */
  readonly refused: number;
  readonly allowed: number;
}

export const replayOfQuota = (seed: number): string => `npm run soak -- --quota-sim 1 --seed ${seed}`;

export async function runQuotaSeeds(first: number, count: number, failuresMax = 5): Promise<QuotaTally> {
  const before = budgetLimits.flightMs;
  Object.assign(budgetLimits, { flightMs: scaledFlightMs });
  try {
    const tally = { failures: [] as { seed: number; broken: readonly string[] }[], runs: 0, refused: 0, allowed: 0 };
    for (let seed = first; seed < first + count && tally.failures.length < failuresMax; seed += 1) {
      const { broken, refused, allowed } = await simulateQuota(quotaPlanOf(seed));
      tally.runs += 1;
      tally.refused += refused;
      tally.allowed += allowed;
      if (broken.length > 0) tally.failures.push({ seed, broken });
    }
    return tally;
  } finally {
    Object.assign(budgetLimits, { flightMs: before });
  }
}
