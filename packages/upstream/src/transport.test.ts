import assert from "node:assert/strict";
import { createServer as createHttpServer, type Server, type ServerResponse } from "node:http";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { test, type TestContext } from "node:test";

import { PullringError } from "@pullring/core";
import { eventually, hubProfiles, startHub, testCertificates, virtualClock } from "@pullring/testkit";

import { digest, failsAs, fetchBlob, hubRig, library, rigFor, tag } from "./test-rig.ts";

/** A port on which nobody listens. */
async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Speaks raw bytes to whoever connects. */
async function raw(t: TestContext, onData: (socket: Socket, text: string) => void): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("data", (bytes) => onData(socket, bytes.toString()));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Answers every request on this port. */
async function httpOn(t: TestContext, port: number, answer: (response: ServerResponse) => void): Promise<Server> {
  const server = createHttpServer((_, response) => answer(response));
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return server;
}

const openBlob = digest(`sha256:${"a".repeat(64)}`);
const ok = (body: string, headers = ""): string =>
  `HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n${headers}\r\n${body}`;

test("an upstream that is gone fails at once, and is left alone for a second", async (t) => {
  const clock = virtualClock();
  const rig = rigFor(t, `http://127.0.0.1:${await closedPort()}`, { clock });
  await assert.rejects(rig.manifests.head(library, tag("3")), failsAs("unavailable", "down"));
  await assert.rejects(rig.manifests.head(library, tag("3")), /a moment ago/);
  await clock.advance(1_001);
  await assert.rejects(rig.manifests.head(library, tag("3")), /ECONNREFUSED/);
  assert.equal(
    rig.events.every(({ status }) => status === "error"),
    true,
  );
});

test("an upstream that does not finish a connection fails within 2 s", async (t) => {
  const url = await raw(t, () => {});
  const rig = rigFor(t, url.replace("http:", "https:"));
  const startedMs = performance.now();
  await assert.rejects(rig.manifests.head(library, tag("3")), failsAs("unavailable", "down"));
  const elapsedMs = performance.now() - startedMs;
  assert.ok(elapsedMs > 1_000 && elapsedMs < 2_000, `${elapsedMs}`);
});

test("an upstream that comes back is asked by one request first", async (t) => {
  const clock = virtualClock();
  const port = await closedPort();
  const rig = rigFor(t, `http://127.0.0.1:${port}`, { clock });
  const head = () => rig.manifests.head(library, tag("3"));
  const first = await httpOn(t, port, (response) => response.end());
  await head();
  first.closeAllConnections();
  await new Promise((resolve) => first.close(resolve));
  let failed = false;
  const outcome = assert.rejects(head(), failsAs("unavailable", "down")).finally(() => (failed = true));
  // A connection that was open may be noticed to be closed only by its next request, which is then tried again.
  await eventually(() => clock.advance(10).then(() => failed));
  await outcome;
  const asked = Promise.withResolvers<ServerResponse>();
  await httpOn(t, port, asked.resolve);
  await clock.advance(1_001);
  const probe = head();
  const response = await asked.promise;
  await assert.rejects(head(), /a moment ago/);
  response.end();
  await probe;
});

test("no answer within ten seconds is a timeout", async (t) => {
  const clock = virtualClock();
  let asked = false;
  const url = await raw(t, () => void (asked = true));
  const rig = rigFor(t, url, { clock });
  const outcome = assert.rejects(rig.manifests.head(library, tag("3")), failsAs("unavailable", "timeout"));
  await eventually(() => asked);
  await clock.advance(12_000);
  await outcome;
});

test("an authority is trusted when the configuration says so, from the next connection on", async (t) => {
  const { ca, server } = testCertificates();
  const hub = await startHub({ ...hubProfiles.open, tls: server, publicHost: "localhost" });
  t.after(() => hub.close());
  const image = hub.content.addImage({ repository: library.name, tag: "3", layers: [] });
  let trusted: string | undefined;
  const clock = virtualClock();
  const rig = rigFor(t, hub.url, { clock, upstream: { ca: () => trusted } });
  await assert.rejects(rig.manifests.head(library, tag("3")), /localhost:\d+: (?:SELF_SIGNED|UNABLE_TO)/);
  assert.equal(hub.ledger.count(), 0);
  trusted = ca;
  await clock.advance(1_001);
  assert.equal((await rig.manifests.head(library, tag("3"))).digest, image.digest);
});

test("garbage for a head is a failure, not an answer and not a pause", async (t) => {
  const url = await raw(t, (socket) => socket.end("garbage\n\n"));
  const rig = rigFor(t, url);
  for (let times = 0; times < 2; times += 1)
    await assert.rejects(rig.manifests.head(library, tag("3")), failsAs("unavailable"));
});

test("garbage during a burst is taken for the abuse answer", async (t) => {
  const url = await raw(t, (socket) => socket.end("garbage\n\n"));
  const rig = rigFor(t, url);
  const failures: unknown[] = [];
  for (let times = 0; times < 70; times += 1)
    await rig.manifests.head(library, tag("3")).catch((error: unknown) => failures.push(error));
  assert.equal(
    failures.every((error) => error instanceof PullringError),
    true,
  );
  assert.throws(() => {
    throw failures.at(-1);
  }, failsAs("throttled"));
  assert.ok(rig.events.length <= 60);
});

test("two lengths that differ, or a head without end, are no answer", async (t) => {
  const heads = [
    "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
    `HTTP/1.1 200 OK\r\nx: ${"y".repeat(70_000)}\r\n\r\n`,
  ];
  for (const head of heads) {
    const url = await raw(t, (socket, text) => socket.end(text.startsWith("GET /v2/ ") ? ok("") : head));
    await assert.rejects(fetchBlob(rigFor(t, url), openBlob), failsAs("unavailable"));
  }
});

test("bytes behind the declared end belong to nobody", async (t) => {
  const url = await raw(t, (socket, text) =>
    socket.write(text.startsWith("GET /v2/ ") ? ok("") : `${ok("four")}five six`),
  );
  const rig = rigFor(t, url);
  for (let times = 0; times < 3; times += 1) assert.equal((await fetchBlob(rig, openBlob)).bytes.toString(), "four");
});

test("a connection that upstream has closed in between is not an error", async (t) => {
  let sockets: Socket[] = [];
  const url = await raw(t, (socket) => {
    sockets.push(socket);
    socket.write(ok(""));
  });
  const rig = rigFor(t, url);
  for (let times = 0; times < 3; times += 1) {
    await rig.manifests.head(library, tag("3"));
    for (const socket of sockets) socket.destroy();
    sockets = [];
  }
});

test("connections are as many as configured, and small requests don't wait for blobs", async (t) => {
  const { hub, rig } = await hubRig(t, { hub: { redirect: false }, upstream: { connectionsMax: 4 } });
  hub.content.addImage({ repository: library.name, tag: "3", layers: [] });
  const { digest: wanted } = hub.content.addBlob({ repository: library.name, size: 5_000_000 });
  const gate = Promise.withResolvers<void>();
  const sink = { head: () => {}, write: () => gate.promise };
  const request = { repository: library, digest: digest(wanted), offset: 0 };
  const blobs = Array.from({ length: 6 }, () => rig.blobs.get(request, sink));
  await eventually(() => hub.ledger.count({ kind: "blob_get", status: 200 }) === 2);
  await rig.manifests.head(library, tag("3"));
  assert.equal(hub.ledger.count({ kind: "blob_get" }), 2);
  gate.resolve();
  await Promise.all(blobs);
});

test("closing ends what runs, and nothing is left behind", async (t) => {
  const { hub, rig } = await hubRig(t, { hub: { responseBytesPerSec: 100_000 } });
  const { digest: wanted } = hub.content.addBlob({ repository: library.name, size: 5_000_000 });
  const outcome = assert.rejects(fetchBlob(rig, wanted), PullringError);
  await hub.ledger.until(({ kind, bytesSent }) => kind === "cdn_get" && bytesSent > 0);
  await rig.close();
  await outcome;
});
