import type { Bench } from "../bench.ts";
import type { Report } from "../report.ts";
import { medianOf } from "../rounds.ts";
import { type Cold, coldFills, lastByteMs, names, slowBytesPerSec } from "./cold.ts";

const connections = 100;

const secondFirstByteMs = ({ firstByteMs: [, second] }: Cold): number => second ?? Number.NaN;

/** Many clients at once on one blob that nobody has yet. */
export async function crowd(bench: Bench): Promise<Report> {
  const figures = await coldFills(bench, { connections, upstreamBytesPerSec: slowBytesPerSec });
  const ratio = (other: (typeof names)[number], read: (cold: Cold) => number): number =>
    medianOf(figures.pullring, read) / medianOf(figures[other], read);
  const row = (what: string, read: (cold: Cold) => number, digits = 2): string[] => [
    what,
    ...names.map((name) => medianOf(figures[name], read).toFixed(digits)),
  ];
  const what = "100 clients, one cold 400 MB blob, upstream at 100 MB/s";
  return {
    title: "A crowd on one cold blob",
    verdicts: [
      {
        what: `docker-registry: ${what}, time to the last byte`,
        bound: { atMost: 0.25 },
        measured: ratio("docker-registry", lastByteMs),
        unit: "×",
      },
      {
        what: `nginx proxy_cache_lock: ${what}, time to the last byte`,
        bound: { atMost: 1.02 },
        measured: ratio("nginx cache", lastByteMs),
        unit: "×",
      },
      {
        what: `nginx proxy_cache_lock: ${what}, the second client's first byte`,
        bound: { atMost: 0.01 },
        measured: ratio("nginx cache", secondFirstByteMs),
        unit: "×",
      },
    ],
    note: "The upstream gives each connection 100 MB/s, so one that lets many requests through gets more of it.",
    table: [
      ["400 MB × 100, cold", ...names],
      row("s to the last byte of all", (cold) => lastByteMs(cold) / 1000),
      row("ms to the second client's first byte", secondFirstByteMs),
      row("CPU s/GB", ({ cpuSec, bytes }) => cpuSec / (bytes / 1e9)),
      row("peak RSS, MiB", ({ rssPeakBytes }) => rssPeakBytes / 1024 / 1024, 0),
    ],
  };
}
