import { planOf } from "../sim/plan.ts";
import { replayOf, runPlan, shrink } from "../sim/run-seeds.ts";
import { runSeedsAside } from "../sim/seeds-aside.ts";

const shrinkMs = 30_000;

/** Runs simulations, prints what they found, and returns what was wrong. One alone is shown as it happened. */
export async function soakSim({ count, seed }: { count: number; seed: number }): Promise<string[]> {
  if (count === 1) return replay(seed);
  const startedAt = performance.now();
  const { failures, reached } = await runSeedsAside(seed, count);
  const perSeedMs = (performance.now() - startedAt) / count;
  console.log(`simulated clusters: ${count} from seed ${seed} on, ${perSeedMs.toFixed(1)} ms each`);
  for (const [state, times] of reached) console.log(`  ${String(times).padStart(6)}  ${state}`);
  return failures.map((failure) => `${failure.broken[0]} (${replayOf(failure.seed)})`);
}

async function replay(seed: number): Promise<string[]> {
  const plan = planOf(seed);
  console.log(JSON.stringify(plan, null, 2));
  const { trace, broken } = await runPlan(plan);
  console.log(trace.join("\n"));
  if (broken.length > 0) {
    const smaller = await shrink(seed, shrinkMs);
    if (smaller) console.log(`a smaller plan that fails:\n${JSON.stringify(smaller)}`);
  }
  return [...broken];
}
