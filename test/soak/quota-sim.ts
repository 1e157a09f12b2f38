import { budgetLimits } from "@pullring/core";

import { quotaPlanOf } from "../sim/quota-plan.ts";
import { runQuotaSeedsAside } from "../sim/quota-seeds-aside.ts";
import { replayOfQuota } from "../sim/quota-seeds.ts";
import { scaledFlightMs, simulateQuota } from "../sim/quota-simulate.ts";

/** Runs simulated budgets, and returns what was wrong. One alone is shown as it happened. */
export async function soakQuotaSim({ count, seed }: { count: number; seed: number }): Promise<string[]> {
  if (count === 1) return replay(seed);
  const startedAt = performance.now();
  const { failures, runs, refused, allowed } = await runQuotaSeedsAside(seed, count);
  const perSeedMs = (performance.now() - startedAt) / runs;
  console.log(`simulated budgets: ${runs} clusters from seed ${seed} on, ${perSeedMs.toFixed(1)} ms each`);
  console.log(`  requests that upstream refused: ${refused}, strangers' doing included; faults may cost ${allowed}`);
  return failures.map((failure) => `${failure.broken[0]} (${replayOfQuota(failure.seed)})`);
}

async function replay(seed: number): Promise<string[]> {
  Object.assign(budgetLimits, { flightMs: scaledFlightMs });
  const plan = quotaPlanOf(seed);
  console.log(JSON.stringify(plan, null, 2));
  const { trace, broken } = await simulateQuota(plan);
  console.log(trace.join("\n"));
  return [...broken];
}
