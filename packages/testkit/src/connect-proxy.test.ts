import assert from "node:assert/strict";
import { once } from "node:events";
import { request } from "node:http";
import { connect, type Socket } from "node:net";
import { test, type TestContext } from "node:test";
import { eventually } from "./assert.ts";
import { startConnectProxy } from "./connect-proxy.ts";
import { startHub } from "./hub/hub.ts";
import type { TunnelProxy, TunnelProxyOptions } from "./tunnel-proxy.ts";

async function proxied(t: TestContext, options?: TunnelProxyOptions) {
  const hub = await startHub();
  const proxy = await startConnectProxy(options);
  t.after(() => Promise.all([proxy.close(), hub.close()]));
  return { hub, proxy, port: Number(new URL(hub.url).port) };
}

/** The proxy's status, and the tunnel. */
async function tunnel({ port, url }: TunnelProxy, path: string, withLogin = true) {
  const login = Buffer.from(`${url.username}:${url.password}`).toString("base64");
  const headers = withLogin ? { "Proxy-Authorization": `Basic ${login}` } : {};
  const asking = request({ host: "127.0.0.1", port, method: "CONNECT", path, headers }).end();
  asking.on("error", () => {});
  const [{ statusCode }, socket] = (await once(asking, "connect")) as [{ statusCode: number }, Socket];
  return { statusCode, socket: socket.on("error", () => {}) };
}

async function pingBy(socket: Socket): Promise<string> {
  socket.write("GET /v2/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  return (await socket.toArray()).join("");
}

test("a tunnel leads to the target, from the address that the proxy has", async (t) => {
  const { hub, proxy, port } = await proxied(t, { localAddress: "127.0.0.3", names: { "hub.test": "127.0.0.1" } });
  for (const host of ["127.0.0.1", "localhost", "hub.test"]) {
    const { statusCode, socket } = await tunnel(proxy, `${host}:${port}`);
    assert.equal(statusCode, 200);
    assert.match(await pingBy(socket), /^HTTP\/1\.1 401/);
  }
  assert.deepEqual(new Set(hub.ledger.filter({}).map((entry) => entry.remoteAddress)), new Set(["127.0.0.3"]));
  assert.deepEqual(proxy.tunnels, [`127.0.0.1:${port}`, `localhost:${port}`, `hub.test:${port}`]);
  await eventually(() => proxy.connections === 0);
});

test("nothing beyond loopback is dialled, and no name that it was not told", async (t) => {
  const { proxy } = await proxied(t);
  for (const target of ["192.0.2.1:80", "registry.test:80", "[2001:db8::1]:80", "::1:80"])
    assert.equal((await tunnel(proxy, target)).statusCode, 502);
  assert.deepEqual(proxy.tunnels, []);
});

test("with credentials nobody gets a tunnel without them", async (t) => {
  const { proxy, port } = await proxied(t, { credentials: { username: "ann", password: "sesame" } });
  assert.equal((await tunnel(proxy, `127.0.0.1:${port}`, false)).statusCode, 407);
  assert.equal((await tunnel(proxy, `127.0.0.1:${port}`)).statusCode, 200);
  assert.deepEqual([proxy.unauthorized, proxy.tunnels.length], [1, 1]);
});

test("it refuses, it dies in the middle, and it speaks slowly, when told to", async (t) => {
  const { proxy, port } = await proxied(t, { faults: { refuse: true } });
  assert.equal((await tunnel(proxy, `127.0.0.1:${port}`)).statusCode, 502);
  Object.assign(proxy.faults, { refuse: false, byteByByte: true, dieAfterBytes: 20 });
  const { statusCode, socket } = await tunnel(proxy, `127.0.0.1:${port}`);
  assert.equal(statusCode, 200);
  await assert.rejects(pingBy(socket), { code: "ECONNRESET" });
  assert.ok(socket.bytesRead <= 20 + "HTTP/1.1 200 Connection Established\r\n\r\n".length);
});

test("a proxy that hangs takes the connection and says nothing until it is reset", async (t) => {
  const { proxy } = await proxied(t, { faults: { hang: true } });
  const socket = connect({ host: "127.0.0.1", port: proxy.port });
  const broken = new Promise((resolve) => socket.once("close", resolve));
  socket.on("error", () => {}).write("CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: a\r\n\r\n");
  await eventually(() => proxy.connections === 1);
  proxy.reset();
  await broken;
  assert.equal(socket.bytesRead, 0);
});
