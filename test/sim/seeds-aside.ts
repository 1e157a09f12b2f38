import { once } from "node:events";
import { Worker } from "node:worker_threads";

import type { Tally } from "./run-seeds.ts";
import type { RareState } from "./world.ts";

/**
 * Runs many seeds in threads of their own: in parallel, and away from the test runner, which follows every promise of its thread
 * and so makes a run take several times as long.
 */
export async function runSeedsAside(first: number, count: number, threads = 2): Promise<Tally> {
  const share = Math.ceil(count / threads);
  const parts = Array.from({ length: threads }, (_, index) => {
    const from = first + index * share;
    return runShare(from, Math.max(0, Math.min(share, first + count - from)));
  });
  const tallies = await Promise.all(parts);
  const reached = new Map<RareState, number>();
  for (const tally of tallies)
    for (const [state, times] of tally.reached) reached.set(state, (reached.get(state) ?? 0) + times);
  return { failures: tallies.flatMap(({ failures }) => failures), reached };
}

async function runShare(first: number, count: number): Promise<Tally> {
  const worker = new Worker(new URL("./seed-worker.ts", import.meta.url), { workerData: { first, count } });
  try {
    const [tally] = (await once(worker, "message")) as [Tally];
    return tally;
  } finally {
    await worker.terminate();
  }
}
