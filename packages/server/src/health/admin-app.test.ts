import assert from "node:assert/strict";
import { test } from "node:test";

import { makeMetrics } from "../observe/metrics.ts";
import { makeAdminApp } from "./admin-app.ts";
import { makeHealth } from "./health.ts";

const app = makeAdminApp({ health: makeHealth({ degradedBy: () => ["no disk: EROFS"] }), metrics: makeMetrics() });

test("health is told with its reasons", async () => {
  const ready = await app.inject("/readyz");
  assert.deepEqual([ready.statusCode, ready.body], [200, "degraded: no disk: EROFS\n"]);
  assert.equal((await app.inject("/livez")).body, "ok\n");
});

test("metrics are in the Prometheus text format", async () => {
  const { headers, body } = await app.inject("/metrics");
  assert.match(String(headers["content-type"]), /^text\/plain; version=0.0.4/);
  assert.match(body, /^# TYPE pullring_requests_total counter$/m);
  assert.match(body, /^process_cpu_seconds_total /m);
});

test("anything else is a problem document", async () => {
  const answer = await app.inject("/admin/v1/ring");
  assert.deepEqual([answer.statusCode, answer.headers["content-type"]], [404, "application/problem+json"]);
});
