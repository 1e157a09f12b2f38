import { once } from "node:events";
import { Worker } from "node:worker_threads";

import type { QuotaTally } from "./quota-seeds.ts";

/** In threads: in parallel, and away from the test runner, which follows every promise of its own. */
export async function runQuotaSeedsAside(first: number, count: number, threads = 2): Promise<QuotaTally> {
  const share = Math.ceil(count / threads);
  const tallies = await Promise.all(
    Array.from({ length: threads }, async (_, index) => {
      const from = first + index * share;
      const size = Math.max(0, Math.min(share, first + count - from));
      const worker = new Worker(new URL("./quota-seed-worker.ts", import.meta.url), {
        workerData: { first: from, count: size },
      });
      try {
        return ((await once(worker, "message")) as [QuotaTally])[0];
      } finally {
        await worker.terminate();
      }
    }),
  );
  const sum = (of: (tally: QuotaTally) => number): number => tallies.reduce((total, tally) => total + of(tally), 0);
  return {
    failures: tallies.flatMap(({ failures }) => failures),
    runs: sum(({ runs }) => runs),
    refused: sum(({ refused }) => refused),
    allowed: sum(({ allowed }) => allowed),
  };
}
