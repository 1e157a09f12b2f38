import { type Bench, withContestants } from "../bench.ts";
import type { Report } from "../report.ts";
import { alternate, type Figures, medianOf, type Sample, sample } from "../rounds.ts";

const names = ["pullring", "docker-registry", "nginx cache"] as const;
type Name = (typeof names)[number];

/** Of each connection to the slow upstream: most registries are far away. */
export const slowBytesPerSec = 100_000_000;

export interface Cold extends Sample {
  readonly rssPeakBytes: number;
}

export interface ColdOptions {
  readonly name: Name;
  readonly connections: number;
  readonly upstreamBytesPerSec: number | undefined;
}

/** One 400 MB blob, asked by all connections at once of a contestant that has just started and has fetched only small ones so far. */
export function coldFill(bench: Bench, { name, connections, upstreamBytesPerSec }: ColdOptions): Promise<Cold> {
  const pace = upstreamBytesPerSec === undefined ? {} : { upstreamBytesPerSec };
  const [big] = bench.content.blobs.get(400) ?? [];
  if (big === undefined) throw new Error("no blob of 400 MB");
  return withContestants(bench, { names: [name], ...pace }, async (contestants) => {
    const contestant = contestants[name];
    for (const small of bench.content.blobs.get(30) ?? []) await contestant.warm(small);
    const figures = await sample(contestant, { targets: [big], connections });
    return { ...figures, rssPeakBytes: contestant.rssPeakBytes() };
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
  const run = (upstreamBytesPerSec: number | undefined): Promise<Figures<Name, Cold>> =>
    alternate(names, {
      rounds: bench.rounds,
      measure: (name) => coldFill(bench, { name, connections: 1, upstreamBytesPerSec }),
    });
  const [full, slow] = [await run(undefined), await run(slowBytesPerSec)];
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
