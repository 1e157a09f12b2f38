import { parentPort, workerData } from "node:worker_threads";

import { range, runSeeds } from "./run-seeds.ts";

const { first, count } = workerData as { first: number; count: number };
parentPort?.postMessage(await runSeeds(range(first, count)), []);
