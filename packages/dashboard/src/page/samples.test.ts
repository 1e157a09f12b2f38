import assert from "node:assert/strict";
import { test } from "node:test";

import { bytesSeries, hitSeries, sampleOf } from "./samples.ts";

const metrics = (hits: number, misses: number, bytes: number): string => `
# TYPE pullring_requests_total counter
pullring_requests_total{route="manifest",tier="memory",outcome="ok",upstream="docker.io"} ${hits}
pullring_requests_total{route="blob",tier="upstream",outcome="ok",upstream="docker.io"} ${misses}
pullring_requests_total{route="ping",tier="none",outcome="ok",upstream="none"} 999
pullring_bytes_total{tier="disk"} ${bytes}
pullring_ring_nodes 3
`;

test("what is drawn is what grew between two looks", () => {
  const samples = [
    sampleOf(metrics(10, 10, 1000), 0),
    sampleOf(metrics(40, 20, 6000), 5000),
    sampleOf(metrics(40, 20, 6000), 10_000),
  ];
  const [times, hits] = hitSeries(samples);
  assert.deepEqual(
    [times, hits],
    [
      [5, 10],
      [0.75, null],
    ],
  );
  const [, , disk] = bytesSeries(samples);
  assert.deepEqual(disk, [1000, 0]);
});

test("a node that was restarted drew nothing meanwhile", () => {
  const samples = [sampleOf(metrics(10, 10, 9000), 0), sampleOf(metrics(1, 0, 10), 5000)];
  assert.deepEqual(bytesSeries(samples)[2], [0]);
  assert.deepEqual(hitSeries(samples)[1], [null]);
});
