import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { clusterKills, type ClusterKillReport } from "../fault/cluster-kill-rounds.ts";

export interface ClusterKillsOptions {
  readonly kills: number;
  readonly seed: number;
}

const clients = 8;
/** Rare, since each costs a minute of a small machine: what it is for are the uploads in parts that a kill leaves behind. */
const bigEvery = 10;

/** Prints how a cluster fared whose nodes are killed again and again; what was wrong is the answer. The ledgers go when nothing was. */
export async function soakClusterKills({ kills, seed }: ClusterKillsOptions): Promise<readonly string[]> {
  const dir = await mkdtemp(join(tmpdir(), "pullring-cluster-kills-"));
  console.log(`ledgers: ${dir}`);
  const report = await clusterKills({ dir, kills, seed, clients, bigEvery, onProgress: (line) => console.log(line) });
  const problems = problemsOf(report);
  console.log(textOf(report));
  if (problems.length === 0) await rm(dir, { recursive: true });
  return problems;
}

function problemsOf({ wrong, lost, disks, uploads, ledger }: ClusterKillReport): readonly string[] {
  return [
    ...wrong,
    ...lost.map((what) => `can't be pulled any more: ${what}`),
    ...disks.wrong,
    ...disks.leftovers,
    ...(uploads.leaked > 0 ? [`${uploads.leaked} uploads in parts are left after the janitor`] : []),
    ...(ledger.lost > 0 ? [`${ledger.lost} lines of ledgers are lost`] : []),
    ...ledger.violations.map(({ promise, file, line, what }) => `promise ${promise}: ${file}:${line}: ${what}`),
  ];
}

function textOf({ kills, fillsCut, outcomes, disks, uploads, ledger }: ClusterKillReport): string {
  const ends = Object.entries(outcomes).map(([outcome, count]) => `${count} ${outcome}`);
  const rules = ledger.rules.map(
    ({ promise, title, checked, excused, violations }) =>
      `    ${promise} ${title}: ${checked} checked, ${excused} excused, ${violations} violations`,
  );
  return [
    `kills of nodes of five: ${kills}, fills cut by them: ${fillsCut}, files kept at the end: ${disks.kept}`,
    `  requests: ${ends.join(", ")}`,
    `  bad files: ${disks.wrong.length}, spools left behind: ${disks.leftovers.length}`,
    `  uploads in parts left by kills: ${uploads.left}, after the janitor: ${uploads.leaked}`,
    `  ledger: ${ledger.lines} lines, ${ledger.killed} starts cut off`,
    ...rules,
    "",
  ].join("\n");
}
