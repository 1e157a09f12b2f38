import { mkdir, mkdtempDisposable } from "node:fs/promises";
import { join } from "node:path";

import { backMemory } from "../back-memory.ts";
import type { Bench } from "../bench.ts";
import { startContestant, startOrigin } from "../contestants.ts";
import { startPair } from "../pair.ts";
import type { Report } from "../report.ts";
import { alternate, medianOf, sampleToTheEnd, type Sample } from "../rounds.ts";
import { runLoad } from "../run-load.ts";

const names = ["pullring", "docker-registry"] as const;

const perGB = ({ cpuSec, bytes }: Sample): number => cpuSec / (bytes / 1e9);
const seconds = ({ lastByteMs }: Sample): number => (lastByteMs.at(-1) ?? Number.NaN) / 1000;

/** One blob of 400 MB from the node that has it through one that has not, which verifies it; beside a registry that fetches it from upstream. */
export async function hop(bench: Bench): Promise<Report> {
  await using dir = await mkdtempDisposable(join(bench.dir, "run-"));
  await using running = new AsyncDisposableStack();
  for (const name of ["origin", ...names]) await mkdir(join(dir.path, name));
  const origin = running.use(await startOrigin({ dir: join(dir.path, "origin"), content: bench.content }));
  const registry = running.use(
    await startContestant("docker-registry", { dir: join(dir.path, "docker-registry"), origin }),
  );
  const pair = running.use(await startPair(join(dir.path, "pullring"), origin.url));
  const [first, ...rest] = bench.content.blobs.get(400) ?? [];
  const small = bench.content.blobs.get(30) ?? [];
  if (first === undefined || rest.length < bench.rounds) throw new Error("too few blobs of 400 MB");

  for (const target of [...small, first, ...rest])
    await runLoad({ port: pair.portsFor(target).owner, targets: [target], connections: 1 });
  for (const target of [...small, first]) {
    await runLoad({ port: pair.portsFor(target).other, targets: [target], connections: 1 });
    await registry.warm(target);
  }
  const figures = await alternate(names, {
    rounds: bench.rounds,
    async measure(name, round) {
      const targets = rest.slice(round, round + 1);
      const [target = first] = targets;
      await backMemory(bench.dir);
      const port = name === "pullring" ? pair.portsFor(target).other : registry.port;
      const server = name === "pullring" ? { ...registry, port, cpuSec: () => pair.cpuSec() } : registry;
      return sampleToTheEnd(server, { targets, connections: 1 });
    },
  });
  const cpu = medianOf(figures.pullring, perGB);
  const what = "one client, 400 MB that another node has";
  return {
    title: "A hop between nodes",
    verdicts: [
      { what: `${what}: CPU of both nodes`, bound: { atMost: 1.5 }, measured: cpu, unit: " s/GB" },
      {
        what: `docker-registry: ${what}, CPU of both nodes against its own pull-through`,
        bound: { atMost: 1 },
        measured: cpu / medianOf(figures["docker-registry"], perGB),
        unit: "×",
      },
    ],
    table: [
      ["400 MB × 1", ...names],
      ["s to the last byte", ...names.map((name) => medianOf(figures[name], seconds).toFixed(2))],
      ["CPU s/GB", ...names.map((name) => medianOf(figures[name], perGB).toFixed(2))],
    ],
  };
}
