import assert from "node:assert/strict";
import { test } from "node:test";

import { makeMetrics, type Readings } from "./metrics.ts";

const still: Readings = {
  fills: () => ({ running: 0, queued: 0 }),
  fillReaders: () => 0,
  tierBytes: { memory: () => 0 },
  ringNodes: () => 3,
  ringEpochsSeen: () => 1,
};
const labels = { route: "blob", tier: "disk", outcome: "ok", upstream: "docker.io" } as const;

test("a response is counted once, with its bytes and its time to the first byte", async () => {
  const metrics = makeMetrics();
  for (let round = 0; round < 3; round += 1) metrics.request(labels, { firstByteMs: 2, bytes: 100 });
  metrics.request({ ...labels, tier: "none", outcome: "missing" }, { firstByteMs: 20, bytes: 7 });
  const text = await metrics.text();
  assert.match(text, /^pullring_requests_total\{route="blob",tier="disk",outcome="ok",upstream="docker.io"\} 3$/m);
  assert.match(text, /^pullring_requests_total\{route="blob",tier="none",outcome="missing",upstream="docker.io"\} 1$/m);
  assert.match(text, /^pullring_bytes_total\{tier="disk"\} 300$/m);
  assert.match(text, /^pullring_request_seconds_bucket\{le="0.0025",route="blob",tier="disk"\} 3$/m);
  assert.match(text, /^pullring_request_seconds_count\{route="blob",tier="none"\} 1$/m);
});

test("gauges are read when somebody looks", async () => {
  const metrics = makeMetrics();
  let running = 1;
  metrics.read({
    ...still,
    fills: () => ({ running, queued: 0 }),
    fillReaders: () => 5,
    tierBytes: { disk: () => 42 },
  });
  running = 2;
  const text = await metrics.text();
  assert.match(text, /^pullring_fills\{state="running"\} 2$/m);
  assert.match(text, /^pullring_fill_readers 5$/m);
  assert.match(text, /^pullring_tier_bytes\{tier="disk"\} 42$/m);
  assert.match(text, /^pullring_ring_nodes 3$/m);
});

test("requests upstream, joins, stale answers, evictions and mismatches have their labels", async () => {
  const metrics = makeMetrics();
  metrics.upstreamRequest({ upstream: "docker.io", kind: "manifest_get", lane: "anonymous@default@n1", status: 200 });
  metrics.joined("local");
  metrics.stale("throttled");
  metrics.evicted("disk");
  metrics.digestMismatch("upstream");
  metrics.lease("held");
  metrics.peerRequest({ peer: "n2", outcome: "cut" });
  metrics.shared({ kind: "upload", outcome: "dropped" });
  const text = await metrics.text();
  for (const line of [
    'pullring_upstream_requests_total{upstream="docker.io",kind="manifest_get",lane="anonymous@default@n1",status="200"} 1',
    'pullring_joined_total{where="local"} 1',
    'pullring_stale_total{reason="throttled"} 1',
    'pullring_evictions_total{tier="disk"} 1',
    'pullring_digest_mismatch_total{source="upstream"} 1',
    'pullring_lease_total{outcome="held"} 1',
    'pullring_peer_requests_total{peer="n2",outcome="cut"} 1',
    'pullring_shared_requests_total{kind="upload",outcome="dropped"} 1',
  ])
    assert.ok(text.includes(line), line);
});

test("the metrics are those of the contract that this version feeds", async () => {
  const metrics = makeMetrics();
  metrics.read(still);
  const named = [...(await metrics.text()).matchAll(/^# TYPE pullring_(\w+) (\w+)$/gm)].map((match) =>
    match.slice(1).join(" "),
  );
  assert.deepEqual(named.toSorted(), [
    "bytes_total counter",
    "digest_mismatch_total counter",
    "evictions_total counter",
    "fill_readers gauge",
    "fills gauge",
    "joined_total counter",
    "lease_total counter",
    "peer_requests_total counter",
    "request_seconds histogram",
    "requests_total counter",
    "ring_epochs_seen gauge",
    "ring_nodes gauge",
    "shared_requests_total counter",
    "stale_total counter",
    "tier_bytes gauge",
    "upstream_requests_total counter",
  ]);
});
