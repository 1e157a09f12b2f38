import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { suite, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { eventually, startHub, startS3Double } from "@pullring/testkit";

import { needsCluster, startCluster } from "../real/cluster.ts";
import * as scenes from "./every-metric-scenes.ts";
import { type Movements, watchMetrics } from "./metric-movements.ts";

/** Any value: names of upstreams, nodes, lanes, and statuses. */
const free: readonly string[] = [];
const words = (text: string): readonly string[] => text.split(" ");
const routes = words("ping manifest blob tags referrers other");
const tiers = words("memory disk peer s3 upstream none");

/** Every metric with its labels, and what they may say. */
const contract: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  pullring_requests_total: {
    route: routes,
    tier: tiers,
    outcome: words("ok joined stale not_modified missing refused throttled denied invalid failed cut"),
    upstream: free,
  },
  pullring_request_seconds: {
    route: routes,
    tier: tiers,
  },
  pullring_bytes_total: { tier: tiers },
  pullring_upstream_requests_total: {
    upstream: free,
    kind: words("ping token manifest_head manifest_get blob_head blob_get blob_range tags referrers"),
    lane: free,
    status: free,
  },
  pullring_quota_remaining: { upstream: free, lane: free },
  pullring_quota_limit: { upstream: free, lane: free },
  pullring_lane_benched: { upstream: free, lane: free, reason: words("login egress paused") },
  pullring_fills: { state: words("running queued") },
  pullring_fill_readers: {},
  pullring_joined_total: { where: words("local peer") },
  pullring_stale_total: { reason: words("down throttled timeout refused") },
  pullring_lease_total: {
    outcome: words("acquired mine held unavailable lost taken_over released"),
  },
  pullring_ring_nodes: {},
  pullring_ring_epochs_seen: {},
  pullring_peer_requests_total: {
    peer: free,
    outcome: words("ok missing refused timeout cut error aborted"),
  },
  pullring_shared_requests_total: {
    kind: words("upload read"),
    outcome: words("ok present dropped miss failed mismatch"),
  },
  pullring_tier_bytes: { tier: words("memory disk s3") },
  pullring_evictions_total: { tier: words("memory disk") },
  pullring_digest_mismatch_total: { source: words("peer s3 upstream disk") },
};

interface Elsewhere {
  readonly metric: string;
  readonly value: string;
  /** A test that makes the same thing happen in the part that tells of it, and what it says then. */
  readonly test: string;
  readonly says: string;
  readonly because: string;
}

/** Values that whole nodes take too long for. Their counters move here by other values, so what lies between is proved. */
const elsewhere: readonly Elsewhere[] = [
  {
    metric: "pullring_lane_benched",
    value: "egress",
    test: "packages/upstream/src/lane-table.test.ts",
    says: 'assert.deepEqual(benches(), ["egress", "egress"])',
    because: "a way out that leads nowhere would disturb everything else here",
  },
  {
    metric: "pullring_lease_total",
    value: "mine",
    test: "packages/cluster/src/lease/redis-leases.test.ts",
    says: 'assert.deepEqual(outcomes, ["mine"])',
    because: "Redis has to lose an answer after it did what was asked",
  },
  {
    metric: "pullring_peer_requests_total",
    value: "timeout",
    test: "packages/cluster/src/peer/silence.test.ts",
    says: 'assert.equal(client.asked[0]?.outcome, "timeout")',
    because: "a peer that is silent is waited for, for seconds",
  },
  {
    metric: "pullring_shared_requests_total",
    value: "present",
    test: "packages/storage/src/s3/uploads.test.ts",
    says: 'assert.deepEqual(rig.outcomes("upload"), ["present"])',
    because: "two nodes have to upload the same blob in the same moment",
  },
  {
    metric: "pullring_shared_requests_total",
    value: "dropped",
    test: "packages/storage/src/s3/uploads.test.ts",
    says: 'outcome === "dropped"',
    because: "a queue of thousands of uploads has to fill",
  },
  {
    metric: "pullring_tier_bytes",
    value: "s3",
    test: "packages/storage/src/s3/sweep.test.ts",
    says: "assert.deepEqual(rig.tier.usage(), { objects: 2, bytes: 2_000 })",
    because: "a bucket is looked through once a day",
  },
  {
    metric: "pullring_digest_mismatch_total",
    value: "disk",
    test: "packages/storage/src/scrub.test.ts",
    says: "onMismatch: (digest) => rotten.push(digest)",
    because: "the disk is read again from a minute after a start on",
  },
];

/** `pullring_fills{state="queued"}`, for whoever reads why this failed. */
const nameOf = (metric: string, label: string, value: string): string => `${metric}{${label}="${value}"}`;

const seriesOf = (metric: string): string => (metric === "pullring_request_seconds" ? `${metric}_count` : metric);

/** What should have moved by now and has not. */
function still(movements: Movements): readonly string[] {
  return Object.entries(contract).flatMap(([metric, labels]) => {
    const values = Object.entries(labels).flatMap(([label, wanted]) =>
      wanted
        .filter((value) => !elsewhere.some((each) => each.metric === metric && each.value === value))
        .map((value) => [label, value] as const),
    );
    const unmoved = values.filter(([label, value]) => !movements.has(seriesOf(metric), { [label]: value }));
    const names = unmoved.map(([label, value]) => nameOf(metric, label, value));
    return movements.has(seriesOf(metric)) ? names : [metric, ...names];
  });
}

/** Metrics, labels and values that the contract does not have. */
function undocumented(movements: Movements): readonly string[] {
  const own = movements.series().filter(({ name }) => name.startsWith("pullring_"));
  const names = own.flatMap(({ name, labels }) => {
    const metric = name.replace(/^(pullring_request_seconds)_(?:bucket|sum|count)$/, "$1");
    return Object.entries(labels)
      .filter(([label, value]) => {
        const values = contract[metric]?.[label];
        // A lane that is not benched has no reason.
        return label !== "le" && (values === undefined || (values !== free && value !== "" && !values.includes(value)));
      })
      .map(([label, value]) => nameOf(metric, label, value))
      .concat(metric in contract ? [] : [metric]);
  });
  return [...new Set(names)];
}

/** The rows of the table of metrics in docs/monitoring.md, one for each metric. */
async function documented(): Promise<ReadonlyMap<string, { readonly labels: string; readonly text: string }>> {
  const text = await readFile(new URL("../../docs/monitoring.md", import.meta.url), "utf8");
  const rows = text.split("\n").filter((line) => line.startsWith("| `pullring_"));
  return new Map(
    rows.flatMap((line) => {
      const [names = "", labels = "", text = ""] = line
        .split("|")
        .slice(1)
        .map((cell) => cell.trim());
      return [...names.matchAll(/`(\w+)`/g)].map(([, name = ""]) => [name, { labels, text }] as const);
    }),
  );
}

test("docs/monitoring.md has these metrics, these labels, and every value that they may have", async () => {
  const rows = await documented();
  assert.deepEqual([...rows.keys()].sort(), Object.keys(contract).sort());
  for (const [metric, labels] of Object.entries(contract)) {
    assert.equal(rows.get(metric)?.labels, Object.keys(labels).join(", "), metric);
    const text =
      (rows.get(metric === "pullring_request_seconds" ? "pullring_requests_total" : metric) ?? {}).text ?? "";
    for (const value of Object.values(labels).flat()) assert.match(text, new RegExp(`\\b${value}\\b`), metric);
  }
});

test("what does not move below is moved by the test that is named for it", async () => {
  for (const { metric, value, test: path, says } of elsewhere) {
    assert.ok(
      Object.values(contract[metric] ?? {})
        .flat()
        .includes(value),
      `${metric} ${value}`,
    );
    const text = await readFile(new URL(`../../${path}`, import.meta.url), "utf8");
    assert.ok(text.includes(says), `${path} does not say ${says}`);
  }
});

suite("a cluster to which everything happens", { skip: needsCluster(), timeout: 120_000 }, () => {
  test("moves every metric, and has no other", async () => {
    await using parts = new AsyncDisposableStack();
    const s3 = await startS3Double();
    parts.defer(() => s3.close());
    const angry = await startHub();
    parts.defer(() => angry.close());
    angry.knobs.abuse = { retryAfterSec: 60, bareLf: false, text: "Too Many Requests" };
    const hub = { anonymousLimit: 60, accounts: Object.values(scenes.accounts) };
    const config = scenes.configOf(s3, angry);
    const cluster = parts.use(await startCluster({ nodes: 3, balancer: "none", hub, config }));
    const movements = await watchMetrics(cluster.nodes);

    const over = new AbortController();
    const looking = (async (): Promise<void> => {
      while (!over.signal.aborted) {
        await movements.look();
        await sleep(100);
      }
    })();
    const stage = { cluster, s3, movements };
    const usual = [scenes.benches, scenes.pulls, scenes.mistakes, scenes.wrongBytes];
    await Promise.all([
      scenes.leases(stage),
      scenes.crowd(stage),
      scenes.staleTags(stage),
      (async (): Promise<void> => {
        for (const scene of usual) await scene(stage);
      })(),
    ]);
    await scenes.trouble(stage);
    // Budgets and lanes are looked at every 10 s.
    const isTold = (): boolean => !still(movements).some((name) => /_(?:quota|lane)_/.test(name));
    await eventually(isTold, { timeoutMs: 15_000, intervalMs: 100 }).catch(() => {});
    await scenes.ends(stage);
    await eventually(() => still(movements).length === 0, { intervalMs: 100 }).catch(() => {});
    over.abort();
    await looking;
    assert.deepEqual(still(movements), []);
    assert.deepEqual(undocumented(movements), []);
  });
});
