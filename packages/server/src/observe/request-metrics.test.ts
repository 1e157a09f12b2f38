import assert from "node:assert/strict";
import { test } from "node:test";

import { Registry } from "prom-client";

import { makeRequestMetrics } from "./request-metrics.ts";

const hit = { route: "blob", tier: "disk", outcome: "ok", upstream: "docker.io" } as const;

function start() {
  const registry = new Registry();
  const { count, byTier } = makeRequestMetrics(registry);
  /** The series of a metric, as they are scraped. */
  const series = async (name: string): Promise<Record<string, string>> => {
    const lines = (await registry.metrics()).split("\n").filter((line) => line.startsWith(name));
    return Object.fromEntries(lines.map((line) => line.slice(name.length).split(" ") as [string, string]));
  };
  return { registry, count, byTier, series };
}

test("every response is in one series of requests, whoever looks and how often", async () => {
  const { count, series } = start();
  for (let round = 0; round < 3; round++) count(hit, { firstByteMs: 1, bytes: 10 });
  count({ ...hit, outcome: "cut" }, { firstByteMs: 1, bytes: 5 });
  const expected = {
    '{route="blob",tier="disk",outcome="ok",upstream="docker.io"}': "3",
    '{route="blob",tier="disk",outcome="cut",upstream="docker.io"}': "1",
  };
  assert.deepEqual(await series("pullring_requests_total"), expected);
  assert.deepEqual(await series("pullring_requests_total"), expected, "looking counts nothing");
  assert.deepEqual(await series("pullring_bytes_total"), { '{tier="disk"}': "35" });
});

test("what a tier answered is summed over whatever else tells responses apart", () => {
  const { count, byTier } = start();
  count(hit, { firstByteMs: 1, bytes: 10 });
  count({ ...hit, outcome: "cut", route: "manifest" }, { firstByteMs: 1, bytes: 5 });
  count({ ...hit, tier: "none", outcome: "missing" }, { firstByteMs: 1, bytes: 7 });
  assert.deepEqual(byTier(), { disk: { responses: 2, bytes: 15 }, none: { responses: 1, bytes: 7 } });
});

test("a time is in its bucket and in every wider one", async () => {
  const { count, series } = start();
  for (const firstByteMs of [0.5, 0.51, 30_000, 30_001]) count(hit, { firstByteMs, bytes: 0 });
  const buckets = await series("pullring_request_seconds_bucket");
  const at = (le: string): string | undefined => buckets[`{le="${le}",route="blob",tier="disk"}`];
  assert.deepEqual([at("0.0005"), at("0.001"), at("10"), at("30"), at("+Inf")], ["1", "2", "2", "3", "4"]);
  assert.deepEqual(await series("pullring_request_seconds_count"), { '{route="blob",tier="disk"}': "4" });
  const [sum] = Object.values(await series("pullring_request_seconds_sum"));
  assert.ok(Math.abs(Number(sum) - 60.002_01) < 1e-9, sum);
});

test("times are told by route and tier, over all outcomes and upstreams", async () => {
  const { count, series } = start();
  count(hit, { firstByteMs: 1, bytes: 0 });
  count({ ...hit, upstream: "ghcr.io" }, { firstByteMs: 1, bytes: 0 });
  count({ ...hit, tier: "memory" }, { firstByteMs: 1, bytes: 0 });
  assert.deepEqual(await series("pullring_request_seconds_count"), {
    '{route="blob",tier="disk"}': "2",
    '{route="blob",tier="memory"}': "1",
  });
});

test("the text is what Prometheus expects of a histogram", async () => {
  const { count, registry } = start();
  count(hit, { firstByteMs: 1, bytes: 0 });
  const text = await registry.metrics();
  assert.match(text, /^# HELP pullring_request_seconds .+\n# TYPE pullring_request_seconds histogram$/m);
  assert.equal(text.match(/^pullring_request_seconds_bucket\{/gm)?.length, 16);
});
