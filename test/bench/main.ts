// `npm run bench -- [hits manifests cold crowd hop mixed] [--quick]`: Pullring beside Debian's docker-registry and nginx, in one
// run. Without arguments all sections run and docs/benchmarks.md is written anew.
import { mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { needs } from "../real/needs.ts";
import type { Bench } from "./bench.ts";
import { writeContent } from "./content.ts";
import { congestionControl, inOwnNamespace } from "./loopback.ts";
import { holds, page, type Report, reportText } from "./report.ts";
import { cold } from "./sections/cold.ts";
import { crowd } from "./sections/crowd.ts";
import { hits } from "./sections/hits.ts";
import { hop } from "./sections/hop.ts";
import { manifests } from "./sections/manifests.ts";
import { mixed } from "./sections/mixed.ts";

const sections: Readonly<Record<string, (bench: Bench) => Promise<Report>>> = {
  hits,
  manifests,
  cold,
  crowd,
  hop,
  mixed,
};

/** How many different blobs there are of each size, in MB; of 400 MB one to warm up, and one for each round of cold fills. */
const blobsPerSize = (rounds: number): ReadonlyMap<number, number> =>
  new Map([
    [1, 8],
    [30, 4],
    [400, rounds + 1],
  ]);

async function run(names: readonly string[], isQuick: boolean): Promise<readonly Report[]> {
  await using dir = await mkdtempDisposable(join(tmpdir(), "pullring-bench-"));
  const pace = isQuick ? { rounds: 1, runMs: 500 } : { rounds: 3, runMs: 2000 };
  const content = await writeContent(join(dir.path, "content"), blobsPerSize(pace.rounds));
  const reports: Report[] = [];
  for (const name of names) {
    const report = await sections[name]?.({ dir: dir.path, content, ...pace });
    if (report === undefined) throw new Error(`no section ${name}; there are ${Object.keys(sections).join(", ")}`);
    console.log(`${reportText(report)}\n`);
    reports.push(report);
  }
  return reports;
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { quick: { type: "boolean" } } });
  const missing = needs("docker-registry", "nginx");
  if (missing !== false) {
    console.error(`the bench ${missing}`);
    return 2;
  }
  const isQuick = values.quick === true;
  const reports = await run(positionals.length > 0 ? positionals : Object.keys(sections), isQuick);
  if (positionals.length === 0 && !isQuick) {
    const congestion = `congestion control ${congestionControl()}`;
    const text = page(reports, { rounds: 3, date: new Date().toISOString().slice(0, 10), congestion });
    await writeFile(fileURLToPath(new URL("../../docs/benchmarks.md", import.meta.url)), text);
  }
  return reports.flatMap(({ verdicts }) => verdicts).every(holds) ? 0 : 1;
}

process.exitCode = (await inOwnNamespace()) ?? (await main());
