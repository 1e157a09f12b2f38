import assert from "node:assert/strict";
import { once } from "node:events";
import { get, type IncomingMessage } from "node:http";
import { test, type TestContext } from "node:test";
import { ask } from "./ask.ts";
import { eventually } from "./assert.ts";
import { type FaultProxyOptions, startFaultProxy } from "./fault-proxy.ts";
import { startHub } from "./hub/hub.ts";
import { hubProfiles } from "./hub/profiles.ts";

const repository = "library/alpine";
const size = 500_000;

async function proxied(t: TestContext, toxics: FaultProxyOptions["toxics"] = {}) {
  const hub = await startHub({ ...hubProfiles.open });
  const blob = hub.content.addBlob({ repository, size });
  const proxy = await startFaultProxy({ target: { port: Number(new URL(hub.url).port) }, toxics });
  t.after(async () => {
    await proxy.close();
    await hub.close();
  });
  return { hub, proxy, url: `http://127.0.0.1:${proxy.port}/v2/${repository}/blobs/${blob.digest}` };
}

test("a proxy without toxics changes nothing", async (t) => {
  const { url, proxy } = await proxied(t);
  const { status, body, broke } = await ask(url);
  assert.deepEqual([status, body.length, broke], [200, size, undefined]);
  await eventually(() => proxy.connections === 0);
});

test("latency delays both ways", async (t) => {
  const { url } = await proxied(t, { latencyMs: 30 });
  const startedAt = performance.now();
  await ask(url, { method: "HEAD" });
  assert.ok(performance.now() - startedAt >= 59);
});

test("a connection is cut after N bytes", async (t) => {
  const { url } = await proxied(t, { cutAfterBytes: 100_000 });
  const { body, broke } = await ask(url);
  assert.equal(broke, "ECONNRESET");
  assert.ok(body.length > 99_000 && body.length < 100_000, `${body.length} bytes of body`);
});

test("a connection stalls after N bytes, until it is reset", async (t) => {
  const { url, proxy } = await proxied(t, { stallAfterBytes: 100_000 });
  const request = get(url);
  const [response] = (await once(request, "response")) as [IncomingMessage];
  request.on("error", () => undefined);
  let received = 0;
  const broken = once(response, "error");
  response.on("data", (chunk: Buffer) => {
    received += chunk.length;
  });
  await eventually(() => received > 99_000);
  proxy.reset();
  assert.equal(((await broken)[0] as NodeJS.ErrnoException).code, "ECONNRESET");
  assert.ok(received < 100_000);
});

test("a refused connection is reset", async (t) => {
  const { url, proxy } = await proxied(t, { refuse: true });
  await assert.rejects(ask(url), { code: "ECONNRESET" });
  proxy.toxics.refuse = false;
  assert.equal((await ask(url)).status, 200);
});
