import { parentPort, workerData } from "node:worker_threads";

import { runQuotaSeeds } from "./quota-seeds.ts";

const { first, count } = workerData as { first: number; count: number };
parentPort?.postMessage(await runQuotaSeeds(first, count), []);
