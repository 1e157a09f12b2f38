import { limits } from "@pullring/core";
import fc from "fast-check";

import { planOf, plans, type Plan } from "./plan.ts";
import { makeRings } from "./rings.ts";
import { type Report, simulate } from "./simulate.ts";
import type { RareState } from "./world.ts";

export interface Tally {
  readonly failures: readonly { readonly seed: number; readonly broken: readonly string[] }[];
  /** In how many runs each state was reached. */
  readonly reached: ReadonlyMap<RareState, number>;
}

/** Bounds in bytes, smaller by the same factor as the bodies are: what a run costs is mostly bytes. */
const smallLimits: Partial<Record<keyof typeof limits, number>> = {
  verifyFirstBytesMax: 4_096,
  tailBytes: 1_024,
  wakeBytes: 8_192,
  fillRestBytesMax: 4_096,
  resumeProgressBytesMin: 4_096,
  directRangeBytesMax: 8_192,
};

/** What a failing seed is looked at with. */
export const replayOf = (seed: number): string => `npm run soak -- --sim 1 --seed ${seed}`;

/** Runs the work with small bounds, and without stacks of errors, which cost as much as the rest. */
async function scaled<T>(work: () => Promise<T>, stackTraceLimit = 0): Promise<T> {
  const before = { limits: { ...limits }, stackTraceLimit: Error.stackTraceLimit };
  Object.assign(limits, smallLimits);
  Error.stackTraceLimit = stackTraceLimit;
  try {
    return await work();
  } finally {
    Object.assign(limits, before.limits);
    Error.stackTraceLimit = before.stackTraceLimit;
  }
}

export function runSeeds(seeds: Iterable<number>, failuresMax = 5): Promise<Tally> {
  return scaled(async () => {
    const rings = makeRings();
    const reached = new Map<RareState, number>();
    const failures: { seed: number; broken: readonly string[] }[] = [];
    for (const seed of seeds) {
      const report = await simulate(planOf(seed), rings);
      for (const state of report.reached) reached.set(state, (reached.get(state) ?? 0) + 1);
      if (report.broken.length > 0) failures.push({ seed, broken: report.broken });
      if (failures.length >= failuresMax) break;
    }
    return { failures, reached };
  });
}

export const runPlan = (plan: Plan): Promise<Report> => scaled(() => simulate(plan, makeRings()), 12);

/** A smaller plan that fails too, as small as it can be found within the time. */
export async function shrink(seed: number, withinMs: number): Promise<Plan | undefined> {
  const holds = fc.asyncProperty(fc.noBias(plans), async (plan) => (await runPlan(plan)).broken.length === 0);
  const details = await fc.check(holds, { seed, numRuns: 1, interruptAfterTimeLimit: withinMs });
  return details.counterexample?.[0];
}

export function* range(first: number, count: number): Generator<number> {
  for (let seed = first; seed < first + count; seed += 1) yield seed;
}
