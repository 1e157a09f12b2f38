import { Counter, type Metric, type Registry } from "prom-client";

import type { RequestLabels } from "./metrics.ts";

/** Seconds to the first byte: a memory hit takes less than a millisecond, a cold manifest a round trip or four. */
const firstByteBuckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** All that is known of the responses of one label set. */
interface Cell {
  readonly labels: RequestLabels;
  responses: number;
  bytes: number;
  firstByteSec: number;
  /** Responses by bucket, the last one for those above all bounds; not cumulative. */
  readonly buckets: number[];
}

/** What came of the requests that one tier answered, since the start. */
export interface TierTotals {
  readonly responses: number;
  readonly bytes: number;
}

export interface RequestMetrics {
  readonly count: CountRequest;
  /** Answers that were none of the cache's (refused, not there) are under `none`. */
  readonly byTier: () => Readonly<Record<string, TierTotals>>;
}

export type CountRequest = (
  labels: RequestLabels,
  facts: { readonly firstByteMs: number; readonly bytes: number },
) => void;

/**
 * What is counted with every request, kept as plain numbers and given to prom-client when somebody looks: its own counters look
 * each label set up by its text, which costs more than ten times as much.
 */
export function makeRequestMetrics(registry: Registry): RequestMetrics {
  const cells = new Map<string, Cell>();
  registerCounters(registry, cells);
  // A histogram whose numbers are given from outside is none of prom-client's classes; this is all that a registry asks of one.
  const firstByte = {
    name: "pullring_request_seconds",
    help: "Seconds from a request's head to the status line of its answer.",
    type: "histogram",
    aggregator: "sum",
    get() {
      const { name, help, type, aggregator } = firstByte;
      return Promise.resolve({ name, help, type, aggregator, values: firstByteValues(name, cells.values()) });
    },
  };
  registry.registerMetric(firstByte as unknown as Metric);
  const count: CountRequest = (labels, { firstByteMs, bytes }) => {
    const cell = cellOf(cells, labels);
    cell.responses += 1;
    cell.bytes += bytes;
    cell.firstByteSec += firstByteMs / 1000;
    const found = firstByteBuckets.findIndex((bound) => firstByteMs <= bound * 1000);
    const bucket = found < 0 ? firstByteBuckets.length : found;
    cell.buckets[bucket] = (cell.buckets[bucket] ?? 0) + 1;
  };
  return { count, byTier: () => totalsOf(cells.values()) };
}

function totalsOf(cells: Iterable<Cell>): Record<string, TierTotals> {
  const totals: Record<string, { responses: number; bytes: number }> = {};
  for (const { labels, responses, bytes } of cells) {
    const total = (totals[labels.tier] ??= { responses: 0, bytes: 0 });
    total.responses += responses;
    total.bytes += bytes;
  }
  return totals;
}

function cellOf(cells: Map<string, Cell>, labels: RequestLabels): Cell {
  const key = `${labels.route} ${labels.tier} ${labels.outcome} ${labels.upstream}`;
  const known = cells.get(key);
  if (known) return known;
  const buckets = Array.from({ length: firstByteBuckets.length + 1 }, () => 0);
  const cell = { labels: { ...labels }, responses: 0, bytes: 0, firstByteSec: 0, buckets };
  cells.set(key, cell);
  return cell;
}

function registerCounters(registry: Registry, cells: ReadonlyMap<string, Cell>): void {
  const registers = [registry];
  const requests: Counter = new Counter({
    name: "pullring_requests_total",
    help: "Responses of the registry face.",
    labelNames: ["route", "tier", "outcome", "upstream"],
    registers,
    collect() {
      requests.reset();
      for (const { labels, responses } of cells.values()) requests.inc({ ...labels }, responses);
    },
  });
  const bytes: Counter = new Counter({
    name: "pullring_bytes_total",
    help: "Body bytes sent to clients, by where they were.",
    labelNames: ["tier"],
    registers,
    collect() {
      bytes.reset();
      for (const cell of cells.values()) bytes.inc({ tier: cell.labels.tier }, cell.bytes);
    },
  });
}

interface Value {
  readonly metricName: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

/** By route and tier only: an outcome or an upstream more would make 16 series each. */
function firstByteValues(name: string, cells: Iterable<Cell>): Value[] {
  const groups = Map.groupBy(cells, ({ labels }) => `${labels.route} ${labels.tier}`);
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    const labels = first ? { route: first.labels.route, tier: first.labels.tier } : {};
    const sum = (of: (cell: Cell) => number): number => group.reduce((total, cell) => total + of(cell), 0);
    let below = 0;
    const buckets = [...firstByteBuckets, "+Inf"].map((le, index) => {
      below += sum(({ buckets }) => buckets[index] ?? 0);
      return { metricName: `${name}_bucket`, labels: { le, ...labels }, value: below };
    });
    const seconds = { metricName: `${name}_sum`, labels, value: sum((cell) => cell.firstByteSec) };
    return [...buckets, seconds, { metricName: `${name}_count`, labels, value: below }];
  });
}
