import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";

import { testCertificates } from "@pullring/testkit";

import { portCheck } from "./port-check.ts";

async function listening(t: TestContext, body: string, isTls = false): Promise<number> {
  const listener = (_request: unknown, response: { end(text: string): void }) => response.end(body);
  const server = isTls ? createTlsServer(testCertificates().server, listener) : createServer(listener);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

const check = (host: string, port: number, { isTls = false, tellsHealth = true } = {}) =>
  portCheck({ setting: "listen", address: { host, port }, isTls, tellsHealth }).run();

test("a free port is fine, and is free again afterwards", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  for (const _ of ["first", "again"]) assert.match((await check("127.0.0.1", port)).found, /is free$/);
});

test("a port that Pullring serves is fine, with TLS too, and by the address of all interfaces", async (t) => {
  assert.match((await check("127.0.0.1", await listening(t, "ok\n"))).found, /served by Pullring/);
  assert.equal((await check("127.0.0.1", await listening(t, "degraded: no disk\n"))).status, "ok");
  assert.equal((await check("127.0.0.1", await listening(t, "ok\n", true), { isTls: true })).status, "ok");
  assert.equal((await check("0.0.0.0", await listening(t, "draining\n"))).status, "ok");
});

test("a port that something else has fails, and tells how to see who", async (t) => {
  const port = await listening(t, "<html>");
  const { status, found, advice } = await check("127.0.0.1", port);
  assert.deepEqual([status, found], ["fail", `127.0.0.1:${port} is in use by something else`]);
  assert.match(advice ?? "", new RegExp(`ss -ltnp 'sport = :${port}'`));
  // Of a listener that tells strangers nothing nobody can say whose it is.
  assert.equal((await check("127.0.0.1", port, { tellsHealth: false })).status, "warn");
});

test("an address that this machine does not have fails", async () => {
  assert.match((await check("192.0.2.1", 0)).found, /no address of this machine/);
});
