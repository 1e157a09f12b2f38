import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { connect, type AddressInfo, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { test, type TestContext } from "node:test";
import { connect as connectTls } from "node:tls";

import { ask, testCertificates } from "@pullring/testkit";

import type { Network } from "../config/config.ts";

import { makeClientAddress } from "./address.ts";

const header = Buffer.from(
  "0d0a0d0a000d0a515549540a 21 11 0013 c0000201 0a000001 d903 1388 04 0004 aabbccdd".replaceAll(" ", ""),
  "hex",
);
const request = "GET /v2/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

interface Setup {
  readonly trustedProxies?: readonly string[];
  readonly proxyHeaderTimeoutMs?: number;
  readonly make?: (listener: RequestListener) => Server;
}

function network(cidr: string): Network {
  const [address = "", prefixBits = 32] = cidr.split("/");
  return { address, prefixBits: Number(prefixBits), family: "ipv4" };
}

/** A server that answers with the address of whoever asks. */
async function start(t: TestContext, { make = createServer, trustedProxies = [], ...rest }: Setup): Promise<number> {
  const addresses = makeClientAddress({ trustedProxies: trustedProxies.map(network), ...rest });
  const server = addresses.front(make((incoming, response) => response.end(addresses.of(incoming))));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

async function answerTo(socket: Socket, ...parts: readonly (Buffer | string)[]): Promise<string> {
  for (const part of parts) {
    const written = Promise.withResolvers<void>();
    socket.write(part, () => written.resolve());
    await written.promise;
    // Each part arrives by itself.
    await new Promise(setImmediate);
  }
  const answer = await text(socket);
  return answer.replace(/^.*?\r\n\r\n/s, "");
}

const trustedProxies = ["127.0.0.0/8", "10.0.0.5"];

async function forwarded(t: TestContext, lines: string | readonly string[], trusted = trustedProxies): Promise<string> {
  const port = await start(t, { trustedProxies: trusted });
  const headers = { "x-forwarded-for": lines };
  return (await ask(`http://127.0.0.1:${port}/`, { headers })).body.toString();
}

test("without trusted proxies the client is whoever connects, whatever it says", async (t) => {
  assert.equal(await forwarded(t, "192.0.2.1", []), "127.0.0.1");
});

test("a proxy that is not trusted is not believed", async (t) => {
  assert.equal(await forwarded(t, "192.0.2.1", ["10.0.0.0/8"]), "127.0.0.1");
});

test("the client is the rightmost address that no trusted proxy has", async (t) => {
  assert.equal(await forwarded(t, "192.0.2.1"), "192.0.2.1");
  assert.equal(await forwarded(t, "203.0.113.9, 192.0.2.1, 10.0.0.5"), "192.0.2.1");
  assert.equal(await forwarded(t, ["203.0.113.9", "192.0.2.1,10.0.0.5"]), "192.0.2.1", "several lines are one list");
  assert.equal(await forwarded(t, "127.0.0.9, 10.0.0.5"), "127.0.0.9", "all are trusted: the first of them");
});

test("ports, brackets and mapped addresses are read through", async (t) => {
  assert.equal(await forwarded(t, "192.0.2.1:4711"), "192.0.2.1");
  assert.equal(await forwarded(t, "[2001:DB8::1]:4711"), "2001:db8::1");
  assert.equal(await forwarded(t, "[2001:db8::1]"), "2001:db8::1");
  assert.equal(await forwarded(t, "2001:db8::1"), "2001:db8::1");
  assert.equal(await forwarded(t, "192.0.2.1, ::ffff:10.0.0.5"), "192.0.2.1");
});

test("behind an entry that is no address nobody is believed", async (t) => {
  for (const entry of ["unknown", "", "192.0.2.1:", "[::1", "1.2.3.4.5", "_hidden"]) {
    assert.equal(await forwarded(t, `192.0.2.1, ${entry}, 10.0.0.5`), "10.0.0.5", entry);
    assert.equal(await forwarded(t, `192.0.2.1, ${entry}`), "127.0.0.1", entry);
  }
});

test("a trusted proxy tells the client by the PROXY protocol, however its bytes arrive", async (t) => {
  const port = await start(t, { trustedProxies });
  const asked = Buffer.concat([header, Buffer.from(request)]);
  for (const parts of [[asked], [header, request], [...asked].map((byte) => Buffer.of(byte))])
    assert.equal(await answerTo(connect(port, "127.0.0.1"), ...parts), "192.0.2.1");
});

test("a trusted proxy need not speak the PROXY protocol, nor all at once", async (t) => {
  const port = await start(t, { trustedProxies });
  assert.equal(await answerTo(connect(port, "127.0.0.1"), request), "127.0.0.1");
  assert.equal(await answerTo(connect(port, "127.0.0.1"), "\r\n", "\r\n", request), "127.0.0.1");
});

test("every request of a connection has its client, and the next connection has its own", async (t) => {
  const port = await start(t, { trustedProxies });
  const socket = connect(port, "127.0.0.1");
  const kept = request.replace("Connection: close\r\n", "");
  const answers = await answerTo(socket, Buffer.concat([header, Buffer.from(kept)]), request);
  assert.equal(answers.match(/192\.0\.2\.1/g)?.length, 2);
  assert.equal(await answerTo(connect(port, "127.0.0.1"), request), "127.0.0.1");
});

test("the PROXY protocol comes before TLS", async (t) => {
  const { ca, server } = testCertificates();
  const port = await start(t, { trustedProxies, make: (listener) => createTlsServer(server, listener) });
  for (const client of ["192.0.2.1", "127.0.0.1"]) {
    const raw = connect(port, "127.0.0.1");
    if (client === "192.0.2.1") raw.write(header);
    const secure = connectTls({ socket: raw, ca, servername: "localhost" });
    assert.equal(await answerTo(secure, request), client);
  }
});

test("addresses of the PROXY protocol are proxies too, if they are trusted", async (t) => {
  const port = await start(t, { trustedProxies: [...trustedProxies, "192.0.2.1"] });
  const asked = request.replace("Host", "X-Forwarded-For: 203.0.113.9\r\nHost");
  assert.equal(await answerTo(connect(port, "127.0.0.1"), header, asked), "203.0.113.9");
});

test("from anybody else the PROXY protocol is a bad request", async (t) => {
  const port = await start(t, { trustedProxies: ["10.0.0.5"] });
  const socket = connect(port, "127.0.0.1");
  socket.write(header);
  assert.match(await text(socket), /^HTTP\/1\.1 400 /);
});

test("a connection whose header is wrong, or never ends, is closed without an answer", async (t) => {
  const wrong = Buffer.from(header);
  wrong[12] = 0x31;
  const port = await start(t, { trustedProxies, proxyHeaderTimeoutMs: 50 });
  for (const bytes of [wrong, header.subarray(0, 20), Buffer.alloc(0)]) {
    const socket = connect(port, "127.0.0.1");
    if (bytes.length > 0) socket.write(bytes);
    assert.equal(await text(socket), "");
  }
});

test("a proxy that hangs up within its header harms nobody", async (t) => {
  const port = await start(t, { trustedProxies });
  const left = connect(port, "127.0.0.1");
  left.write(header.subarray(0, 20));
  left.end();
  assert.equal(await text(left), "");
  const torn = connect(port, "127.0.0.1");
  await once(torn, "connect");
  torn.resetAndDestroy();
  assert.equal(await answerTo(connect(port, "127.0.0.1"), request), "127.0.0.1");
});

test("the server goes on to watch for heads that never end", async (t) => {
  const limits = { headersTimeout: 100, requestTimeout: 100, connectionsCheckingInterval: 20 };
  const port = await start(t, { trustedProxies, make: (listener) => createServer(limits, listener) });
  const socket = connect(port, "127.0.0.1");
  socket.write(Buffer.concat([header, Buffer.from("GET / HTTP/1.1\r\nHost: local")]));
  assert.match(await text(socket), /^HTTP\/1\.1 408 /);
});
