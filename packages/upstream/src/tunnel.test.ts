import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { test, type TestContext } from "node:test";

import {
  eventually,
  startConnectProxy,
  startHub,
  startSocksProxy,
  testCertificates,
  virtualClock,
  type HubOptions,
  type TunnelProxyOptions,
} from "@pullring/testkit";

import { limits } from "./limits.ts";
import { failsAs, fetchBlob, library, realClock, rigFor, tag, type RigOptions } from "./test-rig.ts";
import { openTunnel } from "./tunnel.ts";

const credentials = { username: "ann@example", password: "p@ss:wörd €" };
const proxies = { CONNECT: startConnectProxy, SOCKS5: startSocksProxy };
type ProxyKind = keyof typeof proxies;
const kinds = Object.keys(proxies) as ProxyKind[];

interface ThroughOptions extends RigOptions {
  readonly hub?: HubOptions;
  readonly proxy?: TunnelProxyOptions;
  /** What the egress is configured with, instead of the proxy's own address. */
  readonly login?: readonly [string, string];
}

/** A hub that is asked by a proxy, which alone knows its name. */
async function through(t: TestContext, kind: ProxyKind, options: ThroughOptions = {}) {
  const hub = await startHub({ publicHost: "registry.test", ...options.hub });
  const proxy = await proxies[kind]({ names: { "registry.test": "127.0.0.1" }, ...options.proxy });
  t.after(() => Promise.all([proxy.close(), hub.close()]));
  const url = new URL(proxy.url);
  if (options.login) [url.username, url.password] = options.login.map(encodeURIComponent) as [string, string];
  const upstream = { tokenOrigins: [hub.tokenOrigin], allowPrivateAddresses: true, ...options.upstream };
  const rig = rigFor(t, hub.url, { ...options, upstream, egress: [{ name: "b", proxy: url }] });
  hub.content.addImage({ repository: library.name, tag: "3", layers: [] });
  return { hub, proxy, rig, head: (signal?: AbortSignal) => rig.manifests.head(library, tag("3"), signal) };
}

/** Takes connections and answers by a script; for what no decent proxy or server does. */
async function rude(t: TestContext, onData: (socket: Socket, bytes: Buffer) => void) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {}).on("close", () => sockets.delete(socket));
    socket.on("data", (bytes) => onData(socket, bytes));
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { sockets, port };
}

for (const kind of kinds) {
  test(`${kind}: token, manifest and blob go by the proxy, which resolves the names`, async (t) => {
    const { hub, proxy, rig } = await through(t, kind, {
      proxy: { localAddress: "127.0.0.3" },
      hub: { redirect: true },
    });
    const blob = hub.content.addBlob({ repository: library.name, size: 300_000 });
    await rig.manifests.get(library, tag("3"));
    assert.equal((await fetchBlob(rig, blob.digest)).bytes.length, 300_000);
    assert.ok(hub.ledger.count({ kind: "token" }) > 0 && hub.ledger.count({ kind: "cdn_get" }) === 1);
    assert.equal(
      hub.ledger.count(({ remoteAddress }) => remoteAddress !== "127.0.0.3"),
      0,
    );
    assert.ok(
      proxy.tunnels.every((target) => target.startsWith("registry.test:")),
      proxy.tunnels.join(),
    );
  });

  test(`${kind}: TLS is spoken with the upstream itself, by its own name`, async (t) => {
    const { ca, server } = testCertificates();
    const hub = { tls: server, publicHost: "localhost" };
    const { head, proxy, rig } = await through(t, kind, { hub, upstream: { ca: () => ca } });
    await head();
    await rig.manifests.get(library, tag("3"));
    assert.ok(proxy.tunnels.length > 0);
    const stranger = await through(t, kind, { hub });
    await assert.rejects(stranger.head(), failsAs("unavailable", "down"));
    assert.equal(stranger.hub.ledger.count(), 0);
    await eventually(() => stranger.proxy.connections === 0);
  });

  test(`${kind}: the login that is configured opens the proxy, whatever its letters`, async (t) => {
    const { head, proxy, hub } = await through(t, kind, { proxy: { credentials } });
    await head();
    assert.equal(proxy.unauthorized, 0);
    assert.equal(
      hub.ledger.count((entry) => "proxy-authorization" in entry.headers),
      0,
    );
  });

  for (const login of [["ann@example", "guess"] as const, ["", ""] as const]) {
    test(`${kind}: with ${login[0] ? "a wrong" : "no"} login nothing gets out, and nobody is told it`, async (t) => {
      const { head, hub, rig, proxy } = await through(t, kind, { proxy: { credentials }, login });
      const error = await head().catch((found: unknown) => found);
      assert.ok(failsAs("unavailable", "down")(error));
      assert.doesNotMatch(`${String(error)} ${rig.logged()}`, /guess|ann/);
      assert.deepEqual([hub.ledger.count(), proxy.tunnels.length, proxy.unauthorized], [0, 0, 1]);
      await eventually(() => proxy.connections === 0);
    });
  }

  test(`${kind}: a refusal is a registry that can't be reached, and leaves no socket`, async (t) => {
    const { head, proxy } = await through(t, kind, { proxy: { faults: { refuse: true } } });
    await assert.rejects(head(), failsAs("unavailable", "down"));
    await assert.rejects(head(), /a moment ago/);
    await eventually(() => proxy.connections === 0);
  });

  test(`${kind}: a proxy that is gone is a registry that can't be reached`, async (t) => {
    const { head, proxy } = await through(t, kind);
    await proxy.close();
    await assert.rejects(head(), failsAs("unavailable", "down"));
    // To be closed after the test again.
    proxy.close = () => Promise.resolve();
  });

  test(`${kind}: answers that come byte by byte are read as one`, async (t) => {
    const { head } = await through(t, kind, { proxy: { faults: { byteByByte: true }, credentials } });
    await head();
  });

  test(`${kind}: a proxy that says nothing is given up in the time that a tunnel has`, async (t) => {
    const clock = virtualClock();
    const { head, proxy } = await through(t, kind, { clock, proxy: { faults: { hang: true } } });
    const outcome = assert.rejects(head(), failsAs("unavailable", "down"));
    await eventually(() => proxy.connections === 1);
    await clock.advance(limits.tunnelMs - 1);
    assert.equal(proxy.connections, 1);
    await clock.advance(1);
    await outcome;
    await eventually(() => proxy.connections === 0);
  });

  test(`${kind}: who gives up while the proxy hangs leaves no socket behind`, async (t) => {
    const clock = virtualClock();
    const { head, proxy } = await through(t, kind, { clock, proxy: { faults: { hang: true } } });
    const leaving = new AbortController();
    const outcome = assert.rejects(head(leaving.signal), { name: "AbortError" });
    await eventually(() => proxy.connections === 1);
    leaving.abort();
    await outcome;
    await clock.advance(limits.tunnelMs);
    await eventually(() => proxy.connections === 0);
  });

  test(`${kind}: TLS that does not come about behind the proxy is given up in the time that a connection has`, async (t) => {
    const clock = virtualClock();
    let greeted = false;
    const silent = await rude(t, () => void (greeted = true));
    const { proxy } = await through(t, kind);
    const rig = rigFor(t, `https://127.0.0.1:${silent.port}`, { clock, egress: [{ name: "b", proxy: proxy.url }] });
    const outcome = assert.rejects(rig.manifests.head(library, tag("3")), failsAs("unavailable", "down"));
    await eventually(() => greeted);
    await clock.advance(limits.tunnelMs);
    await outcome;
    await eventually(() => silent.sockets.size + proxy.connections === 0);
  });

  test(`${kind}: a tunnel that dies in the middle of a body cuts it`, async (t) => {
    const { hub, proxy, rig } = await through(t, kind);
    const blob = hub.content.addBlob({ repository: library.name, size: 300_000 });
    await rig.manifests.head(library, tag("3"));
    proxy.faults.dieAfterBytes = 100_000;
    await assert.rejects(fetchBlob(rig, blob.digest), failsAs("cut"));
  });

  test(`${kind}: an upstream at an IPv6 address is reached`, async (t) => {
    const { head, proxy } = await through(t, kind, { hub: { host: "::1", publicHost: "::1" } });
    await head();
    assert.ok(
      proxy.tunnels.every((target) => target.startsWith("[::1]:")),
      proxy.tunnels.join(),
    );
  });

  test(`${kind}: a proxy at an IPv6 address is reached`, async (t) => {
    const { head, proxy } = await through(t, kind, { proxy: { host: "::1", names: { "registry.test": "127.0.0.1" } } });
    await head();
    assert.ok(proxy.tunnels.length > 0);
  });
}

const granted = { CONNECT: Buffer.from("HTTP/1.0 200 OK\r\nVia: x\r\n\r\n"), SOCKS5: Buffer.from([5, 0]) };
const reply = Buffer.from([5, 0, 0, 3, 3, ...Buffer.from("abc"), 0, 80]);
const urlFor = (kind: ProxyKind, port: number): URL =>
  new URL(`${kind === "CONNECT" ? "http" : "socks5"}://127.0.0.1:${port}`);
const target = { host: "registry.test", port: 80 };

for (const kind of kinds) {
  test(`${kind}: what comes right behind the proxy's answer belongs to the tunnel`, async (t) => {
    let asked = 0;
    const { port } = await rude(t, (socket) => {
      asked += 1;
      if (kind === "SOCKS5" && asked === 1) socket.write(granted.SOCKS5);
      else socket.write(Buffer.concat([kind === "CONNECT" ? granted.CONNECT : reply, Buffer.from("early")]));
    });
    const socket = await openTunnel(urlFor(kind, port), target, realClock);
    assert.equal(String((await once(socket.resume(), "data"))[0]), "early");
    socket.destroy();
  });

  test(`${kind}: a proxy that leaves without an answer, or talks of something else, opens no tunnel`, async (t) => {
    const silent = await rude(t, (socket) => socket.end());
    const babbling = await rude(t, (socket) => socket.write("SSH-2.0-x\r\n\r\n"));
    for (const { port, sockets } of [silent, babbling]) {
      await assert.rejects(openTunnel(urlFor(kind, port), target, realClock), { fault: "unreachable" });
      await eventually(() => sockets.size === 0);
    }
  });
}

test("a head without an end is read to its bound and no further", async (t) => {
  const { port, sockets } = await rude(t, (socket) => socket.write(Buffer.alloc(limits.tunnelHeadBytesMax + 1, "a")));
  await assert.rejects(openTunnel(urlFor("CONNECT", port), target, realClock), /answers too much/);
  await eventually(() => sockets.size === 0);
});
