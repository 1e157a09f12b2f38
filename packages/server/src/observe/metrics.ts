import type { StaleReason } from "@pullring/core";
import { collectDefaultMetrics, Counter, Gauge, Registry } from "prom-client";

import type { Outcome, Route } from "../http/errors.ts";
import type { Tier } from "../http/exchange.ts";
import type { LaneState } from "../quota/quota-watch.ts";

import { readLaneMetrics } from "./lane-metrics.ts";
import { makeRequestMetrics, type CountRequest, type TierTotals } from "./request-metrics.ts";

export interface RequestLabels {
  readonly route: Route;
  readonly tier: Tier;
  readonly outcome: Outcome;
  /** Canonical name, or `none`: no label takes a client's text. */
  readonly upstream: string;
}

export interface UpstreamRequestLabels {
  readonly upstream: string;
  readonly kind: string;
  readonly lane: string;
  readonly status: number | "error";
}

/** Gauges read when somebody looks. */
export interface Readings {
  /** Fills by state: `running`, `queued`. */
  readonly fills: () => Readonly<Record<string, number>>;
  readonly fillReaders: () => number;
  readonly tierBytes: Readonly<Record<string, () => number>>;
  readonly ringNodes: () => number;
  /** Rings that peers told of within the last minute, this node's own among them: 1 is well. */
  readonly ringEpochsSeen: () => number;
}

type EvictedTotals = Readonly<Record<"memory" | "disk", number>>;

export interface Metrics {
  readonly request: CountRequest;
  upstreamRequest(labels: UpstreamRequestLabels): void;
  joined(where: "local" | "peer"): void;
  stale(reason: StaleReason): void;
  evicted(tier: "memory" | "disk"): void;
  digestMismatch(source: "peer" | "s3" | "upstream" | "disk"): void;
  lease(outcome: string): void;
  peerRequest(labels: { readonly peer: string; readonly outcome: string }): void;
  /** What became of one upload to shared storage, or of one read from it. */
  shared(labels: { readonly kind: "upload" | "read"; readonly outcome: string }): void;
  read(readings: Readings): void;
  readLanes(states: () => readonly LaneState[]): void;
  /** For the admin API: what each tier answered, and what it had to let go. */
  totals(): { readonly answered: Readonly<Record<string, TierTotals>>; readonly evicted: EvictedTotals };
  /** The Prometheus text format. */
  text(): Promise<string>;
  readonly contentType: string;
}

/** Everything under `pullring_`, and Node's own. Every response of the registry face is counted once, under one tier and outcome. */
export function makeMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const counter = (name: string, help: string, labelNames: string[]): Counter =>
    new Counter({ name: `pullring_${name}`, help, labelNames, registers });
  const asked = counter("upstream_requests_total", "Requests sent upstream.", ["upstream", "kind", "lane", "status"]);
  const joined = counter("joined_total", "Requests that joined a fill or a flight that ran already.", ["where"]);
  const stale = counter("stale_total", "Answers from a record that could not be checked.", ["reason"]);
  const evictions = counter("evictions_total", "Blobs that made room for others.", ["tier"]);
  const mismatches = counter("digest_mismatch_total", "Bytes that did not hash to their digest.", ["source"]);
  const leases = counter("lease_total", "What became of leases.", ["outcome"]);
  const peers = counter("peer_requests_total", "Requests sent to peers.", ["peer", "outcome"]);
  const shared = counter("shared_requests_total", "Blobs read from and uploaded to S3.", ["kind", "outcome"]);
  const requests = makeRequestMetrics(registry);
  const evicted = { memory: 0, disk: 0 };

  return {
    contentType: registry.contentType,
    text: () => registry.metrics(),
    request: requests.count,
    totals: () => ({ answered: requests.byTier(), evicted: { ...evicted } }),
    upstreamRequest: ({ status, ...labels }) => asked.inc({ ...labels, status: String(status) }),
    joined: (where) => joined.inc({ where }),
    stale: (reason) => stale.inc({ reason }),
    evicted(tier) {
      evicted[tier] += 1;
      evictions.inc({ tier });
    },
    digestMismatch: (source) => mismatches.inc({ source }),
    lease: (outcome) => leases.inc({ outcome }),
    peerRequest: (labels) => peers.inc({ ...labels }),
    shared: (labels) => shared.inc({ ...labels }),
    readLanes: (states) => readLaneMetrics(registry, states),
    read: ({ fills, fillReaders, tierBytes, ringNodes, ringEpochsSeen }) => {
      plainGauge(registers, { name: "ring_nodes", help: "Nodes in the ring.", read: ringNodes });
      plainGauge(registers, {
        name: "ring_epochs_seen",
        help: "Different rings seen within the last minute.",
        read: ringEpochsSeen,
      });
      gauge(registers, { name: "fills", help: "Fills of this process.", label: "state", read: fills });
      plainGauge(registers, { name: "fill_readers", help: "Responses that follow a fill.", read: fillReaders });
      const read = (): Record<string, number> =>
        Object.fromEntries(Object.entries(tierBytes).map(([tier, of]) => [tier, of()]));
      gauge(registers, { name: "tier_bytes", help: "Bytes at rest.", label: "tier", read });
    },
  };
}

function plainGauge(registers: Registry[], options: { name: string; help: string; read: () => number }): void {
  gauge(registers, { ...options, read: () => ({ "": options.read() }) });
}

interface GaugeOptions {
  readonly name: string;
  readonly help: string;
  readonly label?: string;
  readonly read: () => Readonly<Record<string, number>>;
}

function gauge(registers: Registry[], { name, help, label, read }: GaugeOptions): void {
  const labelNames = label === undefined ? [] : [label];
  const made = new Gauge({
    name: `pullring_${name}`,
    help,
    labelNames,
    registers,
    collect: () => {
      for (const [value, number] of Object.entries(read()))
        made.set(label === undefined ? {} : { [label]: value }, number);
    },
  });
}
