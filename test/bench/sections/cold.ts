import { backMemory } from "../back-memory.ts";
import { type Bench, withContestants } from "../bench.ts";
import type { Report } from "../report.ts";
import { alternate, type Figures, medianOf, type Sample, sampleToTheEnd, warmUp } from "../rounds.ts";

export const names = ["pullring", "docker-registry", "nginx cache"] as const;
type Name = (typeof names)[number];

/** Of each connection to the slow upstream: most registries are far away. */
export const slowBytesPerSec = 100_000_000;
/** Clients of the fill before the first that is measured. */
const warmUpConnections = 8;

export interface Cold extends Sample {
  readonly rssPeakBytes: number;
}

export interface ColdOptions {
  readonly connections: number;
  readonly upstreamBytesPerSec: number | undefined;
}

/** Each round another blob of 400 MB that the contestants do not have yet, asked by all connections at once. */
export function coldFills(
  bench: Bench,
  { connections, upstreamBytesPerSec }: ColdOptions,
): Promise<Figures<Name, Cold>> {
  const pace = upstreamBytesPerSec === undefined ? {} : { upstreamBytesPerSec };
  return withContestants(bench, { names, ...pace }, async (contestants) => {
    const [first, ...rest] = bench.content.blobs.get(400) ?? [];
    if (first === undefined || rest.length < bench.rounds) throw new Error("too few blobs of 400 MB");
    for (const small of bench.content.blobs.get(30) ?? []) {
      for (const name of names) await contestants[name].warm(small);
    }
    await warmUp(contestants, { targets: [first], connections: Math.min(connections, warmUpConnections) });
    return alternate(names, {
      rounds: bench.rounds,
      async measure(name, round) {
        await backMemory(bench.dir);
        const figures = await sampleToTheEnd(contestants[name], { targets: rest.slice(round, round + 1), connections });
        return { ...figures, rssPeakBytes: contestants[name].rssPeakBytes() };
      },
    });
  });
}

export const firstByteMs = ({ firstByteMs: [first] }: Sample): number => first ?? Number.NaN;
export const lastByteMs = (cold: Sample): number => cold.lastByteMs.at(-1) ?? Number.NaN;

function rows(what: string, figures: Figures<Name, Cold>): string[][] {
  const row = (unit: string, read: (cold: Cold) => number, digits = 2): string[] => [
    `${what}: ${unit}`,
    ...names.map((name) => medianOf(figures[name], read).toFixed(digits)),
  ];
  return [
    row("s to the last byte", (sample) => lastByteMs(sample) / 1000),
    row("ms to the first byte", firstByteMs),
    row("CPU s/GB", ({ cpuSec, bytes }) => cpuSec / (bytes / 1e9)),
    row("peak RSS, MiB", ({ rssPeakBytes }) => rssPeakBytes / 1024 / 1024, 0),
  ];
}

const slowdown = (figures: Figures<Name, Cold>): number =>
  medianOf(figures.pullring, lastByteMs) / medianOf(figures["docker-registry"], lastByteMs);

/** One client, nothing cached. */
export async function cold(bench: Bench): Promise<Report> {
  const full = await coldFills(bench, { connections: 1, upstreamBytesPerSec: undefined });
  const slow = await coldFills(bench, { connections: 1, upstreamBytesPerSec: slowBytesPerSec });
  const what = "docker-registry: one client, cold 400 MB, time to the last byte";
  return {
    title: "Cold fills",
    verdicts: [
      { what: `${what}, upstream at full speed`, bound: { atMost: 2.5 }, measured: slowdown(full), unit: "×" },
      { what: `${what}, upstream at 100 MB/s`, bound: { atMost: 1.05 }, measured: slowdown(slow), unit: "×" },
    ],
    table: [["400 MB × 1", ...names], ...rows("full speed", full), ...rows("100 MB/s", slow)],
  };
}
