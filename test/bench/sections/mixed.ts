import { type Bench, withContestants } from "../bench.ts";
import { type Contestant } from "../contestants.ts";
import type { Report } from "../report.ts";
import { alternate, medianOf, quantile, warmUp } from "../rounds.ts";
import { runLoad, type Target } from "../run-load.ts";

const names = ["pullring", "docker-registry"] as const;
const readers = 64;
const p99Max = 0.5;

interface Mixed {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly gigabytesPerSec: number;
}

const bigOnes = ({ content }: Bench): readonly Target[] => content.blobs.get(400)?.slice(0, 2) ?? [];

async function measure(bench: Bench, { port }: Contestant): Promise<Mixed> {
  const forMs = bench.runMs * 2;
  const [bulk, probe] = await Promise.all([
    runLoad({ port, targets: bigOnes(bench), connections: readers, forMs }),
    runLoad({ port, targets: [bench.content.manifest], connections: 1, forMs }),
  ]);
  return {
    p50Ms: quantile(probe.lastByteMs, 0.5),
    p99Ms: quantile(probe.lastByteMs, 0.99),
    gigabytesPerSec: bulk.bytes / 1e9 / bulk.seconds,
  };
}

/** What a small answer costs while the process is busy with big ones. */
export const mixed = (bench: Bench): Promise<Report> =>
  withContestants(bench, { names }, async (contestants) => {
    for (const name of names) {
      for (const target of [bench.content.manifest, ...bigOnes(bench)]) {
        await contestants[name].warm(target);
      }
    }
    await warmUp(contestants, { targets: [bench.content.manifest], connections: 8, forMs: bench.runMs });
    const figures = await alternate(names, {
      rounds: bench.rounds,
      measure: (name) => measure(bench, contestants[name]),
    });
    const row = (what: string, read: (mixed: Mixed) => number): string[] => [
      what,
      ...names.map((name) => medianOf(figures[name], read).toFixed(2)),
    ];
    const p99 = (name: (typeof names)[number]): number => medianOf(figures[name], ({ p99Ms }) => p99Ms);
    return {
      title: "Manifests among big blobs",
      verdicts: [
        {
          what: "docker-registry: p99 of a manifest GET while 64 clients read 400 MB blobs",
          bound: { atMost: p99Max },
          measured: p99("pullring") / p99("docker-registry"),
          unit: "×",
        },
      ],
      table: [
        ["one client in turn, 64 readers", ...names],
        row("p50, ms", ({ p50Ms }) => p50Ms),
        row("p99, ms", ({ p99Ms }) => p99Ms),
        row("what the readers get, GB/s", ({ gigabytesPerSec }) => gigabytesPerSec),
      ],
    };
  });
