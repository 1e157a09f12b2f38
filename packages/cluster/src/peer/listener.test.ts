import assert from "node:assert/strict";
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { connect } from "node:net";
import { test } from "node:test";

import { ask } from "@pullring/testkit";

import { openPeerListener } from "./listener.ts";
import { service, startPeer } from "./test-peers.ts";

const handler = (): never => assert.fail("asked");

test("off loopback there is no listener without a secret or TLS", async () => {
  for (const host of ["0.0.0.0", "::", "10.0.0.1", "192.0.2.1", "[::]", "n1", "127.example"])
    await assert.rejects(openPeerListener({ listen: { host, port: 0 }, trust: {}, handler }), /needs a secret or TLS/);
});

test("on loopback, or with a secret, there is one", async () => {
  for (const host of ["127.0.0.1", "127.8.9.1", "localhost"])
    await (await openPeerListener({ listen: { host, port: 0 }, trust: {}, handler })).close();
  const trust = { secrets: () => ["a secret"] };
  await (await openPeerListener({ listen: { host: "0.0.0.0", port: 0 }, trust, handler })).close();
});

test("an address that is taken is told", async (t) => {
  const first = await openPeerListener({ listen: { host: "127.0.0.1", port: 0 }, trust: {}, handler });
  t.after(() => first.close());
  const listen = { host: "127.0.0.1", port: first.port };
  await assert.rejects(openPeerListener({ listen, trust: {}, handler }), /EADDRINUSE/);
});

test("who is in none of the peers' networks is hung up on", async (t) => {
  const seen: string[] = [];
  const admits = (address: string): boolean => (seen.push(address), false);
  const listener = await openPeerListener({ listen: { host: "127.0.0.1", port: 0 }, trust: {}, handler, admits });
  t.after(() => listener.close());
  await assert.rejects(ask(`http://127.0.0.1:${listener.port}/peer/v1/hello`));
  assert.deepEqual(seen, ["127.0.0.1"]);
});

test("heads and orders are bounded, and reads have no body", async (t) => {
  const peer = await startPeer(t, { service: service({ purge: () => assert.fail("purged") }) });
  const url = `${peer.url}/peer/v1`;
  assert.equal((await ask(`${url}/hello`, { headers: { x: "y".repeat(17 * 1024) } })).status, 431);
  const long = "x".repeat(64 * 1024 + 1);
  assert.equal(
    (await ask(`${url}/purge`, { method: "POST", body: long, headers: { "content-length": String(long.length) } }))
      .status,
    400,
  );
  assert.equal(
    (await ask(`${url}/purge`, { method: "POST", body: "{}", headers: { "transfer-encoding": "chunked" } })).status,
    400,
  );
  assert.equal(
    (await ask(`${url}/hello`, { method: "GET", body: "{}", headers: { "content-length": "2" } })).status,
    400,
  );
});

test("a listener that drains lets go of those who ask nothing", async () => {
  const listener = await openPeerListener({ listen: { host: "127.0.0.1", port: 0 }, trust: {}, handler });
  const socket = connect(listener.port, "127.0.0.1");
  await once(socket, "connect");
  socket.on("error", () => {});
  await listener.close();
  await assert.rejects(ask(`http://127.0.0.1:${listener.port}/`));
});

test("a listener that drains answers what it was asked, and then ends that connection", async () => {
  const asked = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  const answer = async (response: ServerResponse): Promise<void> => {
    asked.resolve();
    await gate.promise;
    response.writeHead(200, ["content-length", "0"]);
    response.end();
  };
  const listener = await openPeerListener({
    listen: { host: "127.0.0.1", port: 0 },
    trust: {},
    handler: (_request, response) => void answer(response),
  });
  const socket = connect(listener.port, "127.0.0.1");
  const get = "GET / HTTP/1.1\r\nHost: n1\r\n\r\n";
  socket.write(get);
  await asked.promise;
  const drained = listener.drain();
  // The first was asked before and may be answered as ever, the second may not.
  socket.on("data", () => socket.write(get));
  gate.resolve();
  await drained;
});
