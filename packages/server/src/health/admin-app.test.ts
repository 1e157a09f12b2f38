import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { test, type TestContext } from "node:test";

import { ask } from "@pullring/testkit";

import { makeMetrics } from "../observe/metrics.ts";
import { makeAdminApp, type AdminAppOptions } from "./admin-app.ts";
import { makeHealth } from "./health.ts";

const health = makeHealth({ degradedBy: () => ["no disk: EROFS"] });

async function start(t: TestContext, options: Partial<AdminAppOptions> = {}): Promise<string> {
  const app = makeAdminApp({ health, metrics: makeMetrics(), ...options });
  t.after(() => app.close());
  await app.listen({ host: "127.0.0.1", port: 0 });
  return `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
}

test("health is told with its reasons", async (t) => {
  const url = await start(t);
  const ready = await ask(`${url}/readyz`);
  assert.deepEqual([ready.status, ready.body.toString()], [200, "degraded: no disk: EROFS\n"]);
  const live = await ask(`${url}/livez`);
  assert.deepEqual([live.status, live.body.toString()], [200, "ok\n"]);
});

test("a draining node is alive and not ready", async (t) => {
  const draining = makeHealth({ degradedBy: () => [] });
  draining.drain();
  const url = await start(t, { health: draining });
  const ready = await ask(`${url}/readyz`);
  assert.deepEqual([ready.status, ready.body.toString()], [503, "draining\n"]);
  assert.equal((await ask(`${url}/livez`)).status, 200);
});

test("metrics are in the Prometheus text format", async (t) => {
  const { headers, body } = await ask(`${await start(t)}/metrics`);
  assert.match(String(headers["content-type"]), /^text\/plain; version=0.0.4/);
  assert.match(body.toString(), /^# TYPE pullring_requests_total counter$/m);
  assert.match(body.toString(), /^process_cpu_seconds_total /m);
});

test("anything else is a problem document that tells nothing of the request", async (t) => {
  const url = await start(t);
  for (const [method, target] of [
    ["GET", "/admin/v1/ring"],
    ["GET", "/%"],
    ["GET", "/livez/c4n4ry"],
    ["POST", "/livez"],
    ["DELETE", "/metrics"],
  ] as const) {
    const { status, headers, body } = await ask(`${url}${target}`, { method });
    assert.deepEqual([status, headers["content-type"]], [404, "application/problem+json"], `${method} ${target}`);
    assert.deepEqual(JSON.parse(body.toString()), { title: "Not Found", status: 404 });
  }
});

test("a failure inside is told by its status only", async (t) => {
  const metrics = { contentType: "text/plain", text: () => Promise.reject(new Error("c4n4ry")) };
  const { status, headers, body } = await ask(`${await start(t, { metrics })}/metrics`);
  assert.deepEqual([status, headers["content-type"]], [500, "application/problem+json"]);
  assert.deepEqual(JSON.parse(body.toString()), { title: "Internal Server Error", status: 500 });
});

test("a request head beyond 16 KiB is refused", async (t) => {
  const { port } = new URL(await start(t));
  const socket = connect(Number(port), "127.0.0.1");
  await once(socket, "connect");
  socket.write(`GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Long: ${"x".repeat(17 * 1024)}\r\n\r\n`);
  assert.match(await text(socket), /^HTTP\/1\.1 431 /);
});
