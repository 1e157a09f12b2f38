// `npm run soak -- [--minutes 10] [--kills 50] [--clients 24] [--seed 1]`: the hub simulator with random faults, many clients, a
// process that is killed now and then. Prints a verdict on one page; exits 1 when anything was wrong.
// `--sim 20000 [--seed 1]`: only simulated clusters, so many from the seed on; a single one is shown as it happens.
// `--quota-sim 20000 [--seed 1]`: only simulated budgets, in the same way.
// `--quota`: only 1,000 pulls by seven budgets of a cluster, to their end.
// `--promises [one-fetch|takeover|come-and-go|rolling-restart]`: only what a cluster promises, at full size; all, or those that are named.
// `--cluster-kills 500 [--seed 1]`: only a cluster whose nodes are killed under load, and what it wrote down of that.
// `--faults [redis-hung|s3-slow|…]`: only what hits cost while something fails, half a minute each; all, or those that are named.
// `--mutants`: only whether tests and simulation notice what was taken out of a copy of the product.
import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { runMutants } from "../sim/mutants.ts";
import { killRounds } from "../fault/kill-rounds.ts";
import { soakClusterKills } from "./cluster-kills.ts";
import { runFaults } from "./faults-table.ts";
import { runPromises } from "./promises-run.ts";
import { soakQuota } from "./quota.ts";
import { soakQuotaSim } from "./quota-sim.ts";
import { soakSim } from "./sim.ts";
import { soak } from "./soak.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    minutes: { type: "string", default: "10" },
    kills: { type: "string", default: "50" },
    clients: { type: "string", default: "24" },
    seed: { type: "string", default: "1" },
    sim: { type: "string" },
    "quota-sim": { type: "string" },
    "cluster-kills": { type: "string" },
    quota: { type: "boolean", default: false },
    promises: { type: "boolean", default: false },
    faults: { type: "boolean", default: false },
    mutants: { type: "boolean", default: false },
  },
});

const clusterKills = values["cluster-kills"];
const quotaSim = values["quota-sim"];
const isSim = values.sim !== undefined || quotaSim !== undefined;
const isPart =
  isSim || clusterKills !== undefined || values.mutants || values.promises || values.faults || values.quota;
const [clients = 0, seed = 0] = [values.clients, values.seed].map(Number);
const [minutes = 0, kills = 0] = [values.minutes, values.kills].map((value) => (isPart ? 0 : Number(value)));
const problems: string[] = [];

if (values.sim !== undefined) problems.push(...(await soakSim({ count: Number(values.sim), seed })));

if (quotaSim !== undefined) problems.push(...(await soakQuotaSim({ count: Number(quotaSim), seed })));

if (clusterKills !== undefined) problems.push(...(await soakClusterKills({ kills: Number(clusterKills), seed })));

if (values.quota) problems.push(...(await soakQuota()));

if (values.promises) problems.push(...(await runPromises(positionals)));

if (values.faults) problems.push(...(await runFaults(positionals)));

if (values.mutants) {
  await using dir = await mkdtempDisposable(join(tmpdir(), "pullring-mutants-"));
  problems.push(...(await runMutants(dir.path, (line) => console.log(line))));
}

if (kills > 0) {
  await using dir = await mkdtempDisposable(join(tmpdir(), "pullring-soak-"));
  const report = await killRounds({ dir: dir.path, kills, seed });
  problems.push(...report.wrong, ...report.leftovers);
  const cut = report.fillsCut.reduce((sum, count) => sum + count, 0);
  console.log(`kills during fills: ${report.kills}, fills cut by them: ${cut}, files kept at the end: ${report.kept}`);
  console.log(`  wrong: ${report.wrong.length}, spools left behind: ${report.leftovers.length}\n`);
}

if (minutes > 0) {
  await using dir = await mkdtempDisposable(join(tmpdir(), "pullring-soak-"));
  const verdict = await soak({ dir: dir.path, durationMs: minutes * 60_000, clients, seed });
  problems.push(...verdict.problems);
  console.log(verdict.text);
}

console.log(problems.length === 0 ? "verdict: nothing wrong" : `verdict: ${problems.length} wrong (seed ${seed})`);
for (const problem of problems.slice(0, 50)) console.log(`  ${problem}`);
process.exitCode = problems.length === 0 ? 0 : 1;
