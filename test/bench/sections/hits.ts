import { type Bench, type Contestants, withContestants } from "../bench.ts";
import type { Report, Verdict } from "../report.ts";
import { alternate, type Figures, medianOf, type Sample, sample, warmUp } from "../rounds.ts";
import type { Target } from "../run-load.ts";

interface Cell {
  readonly megabytes: number;
  readonly connections: number;
}

/** The bounds of one cell: throughput and CPU against docker-registry, throughput against nginx with sendfile. */
interface Bounds extends Cell {
  readonly speedMin: number;
  readonly cpuMax: number;
  readonly sendfileMin: number;
}

const bounds: readonly Bounds[] = [
  { megabytes: 1, connections: 64, speedMin: 4, cpuMax: 0.2, sendfileMin: 0.4 },
  { megabytes: 30, connections: 8, speedMin: 1.3, cpuMax: 0.7, sendfileMin: 0.6 },
  { megabytes: 400, connections: 8, speedMin: 1.1, cpuMax: 0.75, sendfileMin: 0.6 },
];
const rssMaxMiB = 350;

const names = ["pullring", "docker-registry", "nginx static"] as const;
type Name = (typeof names)[number];
/** In MB. */
const sizes = [1, 30, 400] as const;
const cells: readonly Cell[] = sizes.flatMap((megabytes) =>
  [1, 8, 64].map((connections) => ({ megabytes, connections })),
);

const gigabytesPerSec = ({ bytes, seconds }: Sample): number => bytes / 1e9 / seconds;
const cpuPerGigabyte = ({ bytes, cpuSec }: Sample): number => cpuSec / (bytes / 1e9);
const label = ({ megabytes, connections }: Cell): string => `${megabytes} MB × ${connections}`;

function verdictsOf({ speedMin, cpuMax, sendfileMin, ...cell }: Bounds, figures: Figures<Name, Sample>): Verdict[] {
  const ratio = (other: Name, read: (sample: Sample) => number): number =>
    medianOf(figures.pullring, read) / medianOf(figures[other], read);
  const verdict = (what: string, bound: Verdict["bound"], measured: number): Verdict => ({
    what: `${what}, ${label(cell)}`,
    bound,
    measured,
    unit: "×",
  });
  return [
    verdict("docker-registry: throughput", { atLeast: speedMin }, ratio("docker-registry", gigabytesPerSec)),
    verdict("docker-registry: CPU per GB", { atMost: cpuMax }, ratio("docker-registry", cpuPerGigabyte)),
    verdict("nginx sendfile: throughput", { atLeast: sendfileMin }, ratio("nginx static", gigabytesPerSec)),
  ];
}

function row(cell: Cell, figures: Figures<Name, Sample>): string[] {
  const text = (name: Name): string => {
    const speed = medianOf(figures[name], gigabytesPerSec).toFixed(2);
    return `${speed} (${medianOf(figures[name], cpuPerGigabyte).toFixed(2)})`;
  };
  return [label(cell), ...names.map(text)];
}

/** What the clients read of each size: enough that it isn't one blob for all, not more than is read often. */
const targetsOf = ({ content }: Bench, megabytes: number): readonly Target[] =>
  content.blobs.get(megabytes)?.slice(0, megabytes < 400 ? undefined : 2) ?? [];

function measureCell(bench: Bench, cell: Cell, contestants: Contestants<Name>): Promise<Figures<Name, Sample>> {
  const load = { targets: targetsOf(bench, cell.megabytes), connections: cell.connections, forMs: bench.runMs };
  return alternate(names, { rounds: bench.rounds, measure: (name) => sample(contestants[name], load) });
}

/** Blobs that are cached already, from the page cache. */
export const hits = (bench: Bench): Promise<Report> =>
  withContestants(bench, { names }, async (contestants) => {
    for (const name of names) {
      for (const megabytes of sizes) {
        for (const target of targetsOf(bench, megabytes)) await contestants[name].warm(target);
      }
    }
    await warmUp(contestants, { targets: targetsOf(bench, 1), connections: 64, forMs: bench.runMs });
    const verdicts: Verdict[] = [];
    const rows: string[][] = [];
    for (const cell of cells) {
      const figures = await measureCell(bench, cell, contestants);
      rows.push(row(cell, figures));
      const bound = bounds.find((one) => label(one) === label(cell));
      if (bound !== undefined) verdicts.push(...verdictsOf(bound, figures));
    }
    const peaks = names.map((name) => contestants[name].rssPeakBytes() / 1024 / 1024);
    verdicts.push({
      what: "itself: peak RSS, 64 clients on 400 MB blobs",
      bound: { atMost: rssMaxMiB },
      measured: peaks[0] ?? Number.NaN,
      unit: " MiB",
    });
    rows.push(["peak RSS, MiB", ...peaks.map((peak) => peak.toFixed(0))]);
    return { title: "Hits", verdicts, table: [["GB/s (CPU s/GB)", ...names], ...rows] };
  });
