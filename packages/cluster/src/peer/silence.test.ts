import assert from "node:assert/strict";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { test, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import { bytesBody, type Body } from "@pullring/core";
import { startFaultProxy, virtualClock, type FaultProxy, type Toxics, type VirtualClock } from "@pullring/testkit";

import {
  clientFor,
  digestOf,
  failsAs,
  repository,
  service,
  serving,
  someBytes,
  startPeer,
  taking,
  type TestClient,
} from "./test-peers.ts";

const trust = { secrets: () => ["a secret of this cluster"] };
const bytes = someBytes(400_000);
const digest = digestOf(bytes);
const request = { repository, digest, offset: 0 };

/** Lets virtual time pass while real sockets work, until the promise is settled; resolves to the virtual ms that took. */
async function elapsed(clock: VirtualClock, outcome: Promise<unknown>): Promise<number> {
  const startedMs = clock.monotonic();
  let isSettled = false;
  const settle = (): void => void (isSettled = true);
  outcome.then(settle, settle);
  while (!isSettled && clock.monotonic() - startedMs < 60_000) {
    // What a round trip on loopback takes, many times over, within a small part of every bound.
    await delay(4);
    if (!isSettled) await clock.advance(100);
  }
  return clock.monotonic() - startedMs;
}

async function listening(t: TestContext, server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Takes connections and bytes and never says a word: what a stopped process looks like from outside. */
function silentServer(t: TestContext): Promise<string> {
  const sockets = new Set<Socket>();
  t.after(() => sockets.forEach((socket) => socket.destroy()));
  return listening(
    t,
    createServer((socket) => void sockets.add(socket.on("error", () => {}).resume())),
  );
}

const asks: Readonly<Record<string, (client: TestClient) => Promise<unknown>>> = {
  "get of a blob": (client) => client.blobs.get("n2", request, taking().sink),
  "get of a manifest": (client) => client.manifests.get("n2", repository, digest),
  "read of a blob": (client) => client.blobs.read("n2", request, taking().sink),
  purge: (client) => client.purge("n2", { repository, atMs: 0 }),
};
for (const [name, ask] of Object.entries(asks)) {
  test(`a peer that hangs is found within 3 s of a ${name}`, async (t) => {
    const clock = virtualClock();
    const client = clientFor(t, { trust, clock, urls: { n2: await silentServer(t) } });
    const outcome = assert.rejects(ask(client), failsAs("unreachable", "timeout"));
    const ms = await elapsed(clock, outcome);
    await outcome;
    assert.ok(ms <= 3_000, `${ms} ms`);
    assert.deepEqual(client.reports, ["n2 timeout"]);
    assert.equal(client.asked[0]?.outcome, "timeout");
  });
}

test("many who wait for a peer that hangs ask for one sign of life", async (t) => {
  const clock = virtualClock();
  let connections = 0;
  const sockets = new Set<Socket>();
  t.after(() => sockets.forEach((socket) => socket.destroy()));
  const url = await listening(
    t,
    createServer((socket) => {
      connections += 1;
      sockets.add(socket.on("error", () => {}).resume());
    }),
  );
  const client = clientFor(t, { trust, clock, urls: { n2: url } });
  const waiting = Array.from({ length: 20 }, () => client.manifests.get("n2", repository, digest));
  const outcome = Promise.allSettled(waiting);
  await elapsed(clock, outcome);
  assert.ok((await outcome).every(({ status }) => status === "rejected"));
  assert.ok(connections <= 22, `${connections} connections`);
});

test("an owner that waits for upstream is given the time, as long as it lives", async (t) => {
  const clock = virtualClock();
  const peer = await startPeer(t, {
    trust,
    clock,
    service: service({
      async openBlob() {
        await clock.sleep(25_000);
        return { body: bytesBody(bytes), access: "public" };
      },
    }),
  });
  const client = clientFor(t, { trust, clock, urls: { n2: peer.url } });
  const taken = taking();
  const outcome = client.blobs.get("n2", request, taken.sink);
  const ms = await elapsed(clock, outcome);
  await outcome;
  assert.ok(ms >= 25_000);
  assert.ok(taken.bytes().equals(bytes));
  assert.ok(peer.served.some(({ verb }) => verb === "hello"));
});

test("an owner that never answers is given up after its time, and is not called dead", async (t) => {
  const clock = virtualClock();
  const peer = await startPeer(t, { trust, clock, service: service({ openBlob: () => new Promise(() => {}) }) });
  const client = clientFor(t, { trust, clock, urls: { n2: peer.url } });
  await client.hello(peer.url, "n2");
  const outcome = assert.rejects(client.blobs.get("n2", request, taking().sink), failsAs("unreachable", "timeout"));
  const ms = await elapsed(clock, outcome);
  await outcome;
  assert.ok(ms >= 30_000 && ms <= 32_000, `${ms} ms`);
  assert.equal(client.reports.includes("n2 timeout"), false);
});

/** Gives half, then nothing until the signal. */
const stalling = (until: AbortSignal): Body => ({
  size: bytes.length,
  next: (offset, end) =>
    offset < bytes.length / 2
      ? { bytes: bytes.subarray(offset, Math.min(end, bytes.length / 2)) }
      : new Promise((_, reject) => until.addEventListener("abort", () => reject(new Error("over")))),
  close: () => {},
});

test("a body that stands still is cut after 12 s when its peer lives", async (t) => {
  const clock = virtualClock();
  const over = new AbortController();
  t.after(() => over.abort());
  const body = stalling(over.signal);
  const peer = await startPeer(t, {
    trust,
    clock,
    service: service({ openBlob: () => Promise.resolve({ body, access: "public" }) }),
  });
  const client = clientFor(t, { trust, clock, urls: { n2: peer.url } });
  const taken = taking();
  const outcome = assert.rejects(client.blobs.get("n2", request, taken.sink), failsAs("cut", "timeout"));
  const ms = await elapsed(clock, outcome);
  await outcome;
  assert.ok(ms >= 12_000 && ms <= 14_000, `${ms} ms`);
  assert.ok(taken.bytes().equals(bytes.subarray(0, bytes.length / 2)));
  assert.equal(client.reports.includes("n2 timeout"), false);
});

test("a body that stands still because its peer hangs is cut within 5 s", async (t) => {
  const clock = virtualClock();
  const through = throughProxy(t);
  const over = new AbortController();
  t.after(() => over.abort());
  const body = stalling(over.signal);
  const openBlob = () => Promise.resolve({ body, access: "public" as const });
  const peer = await startPeer(t, { trust, clock, service: service({ openBlob }), via: through.via });
  const client = clientFor(t, { trust, clock, urls: { n2: peer.url } });
  const taken = taking();
  const outcome = assert.rejects(
    client.blobs.get("n2", request, {
      head: taken.sink.head,
      write(chunk) {
        // From the first byte on nothing more is said, on any connection.
        through.toxics().stallAfterBytes = 0;
        taken.sink.write(chunk);
      },
    }),
    failsAs("cut", "timeout"),
  );
  const ms = await elapsed(clock, outcome);
  await outcome;
  assert.ok(ms <= 5_000, `${ms} ms`);
  assert.equal(client.reports.at(-1), "n2 timeout");
});

test("whoever takes no more is not called silent", async (t) => {
  const clock = virtualClock();
  const peer = await startPeer(t, { trust, clock, service: serving(bytes) });
  const client = clientFor(t, { trust, clock, urls: { n2: peer.url } });
  let taken = 0;
  const outcome = client.blobs.get("n2", request, {
    head: () => {},
    write(chunk) {
      const isFirst = taken === 0;
      taken += chunk.length;
      return isFirst ? clock.sleep(30_000) : undefined;
    },
  });
  await elapsed(clock, outcome);
  await outcome;
  assert.equal(taken, bytes.length);
});

test("a refused connection is told at once", async (t) => {
  const server = createServer();
  const url = await listening(t, server);
  await new Promise((resolve) => server.close(resolve));
  const client = clientFor(t, { trust, urls: { n2: url } });
  for (const ask of Object.values(asks)) await assert.rejects(ask(client), failsAs("unreachable", "down"));
  assert.deepEqual(new Set(client.reports), new Set(["n2 refused"]));
  assert.deepEqual(new Set(client.asked.map(({ outcome }) => outcome)), new Set(["refused"]));
});

test("a peer that resets every connection is refused, after it was tried again", async (t) => {
  let connections = 0;
  const url = await listening(
    t,
    createServer((socket) => {
      connections += 1;
      socket.once("data", () => socket.resetAndDestroy());
    }),
  );
  const client = clientFor(t, { trust, urls: { n2: url } });
  await assert.rejects(client.manifests.get("n2", repository, digest), failsAs("unreachable", "down"));
  assert.equal(connections, 3);
  assert.deepEqual(client.reports, ["n2 refused"]);
});

test("what is no peer at all is not believed, whatever it says", async (t) => {
  const answers = [
    "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
    "SSH-2.0-x\r\n",
    `HTTP/1.1 200 OK\r\nx: ${"y".repeat(40_000)}`,
  ];
  for (const answer of answers) {
    const url = await listening(
      t,
      createServer((socket) => void socket.once("data", () => socket.end(answer)).on("error", () => {})),
    );
    const client = clientFor(t, { trust, urls: { n2: url } });
    for (const ask of Object.values(asks)) await assert.rejects(ask(client), failsAs("unreachable"));
  }
});

test("a kept connection that ended meanwhile is no failure of the peer", async (t) => {
  const through = throughProxy(t);
  const manifest = () => Promise.resolve({ bytes, mediaType: "a/b", access: "public" as const });
  const peer = await startPeer(t, { trust, service: service({ manifest }), via: through.via });
  const client = clientFor(t, { trust, urls: { n2: peer.url } });
  for (let round = 0; round < 5; round += 1) {
    await client.manifests.get("n2", repository, digest);
    // Not yet known at the other end when the next request goes out.
    through.reset();
  }
  assert.equal(client.reports.includes("n2 refused"), false);
});

interface Through {
  readonly via: (port: number) => Promise<string>;
  readonly toxics: () => Toxics;
  readonly reset: () => void;
}

function throughProxy(t: TestContext): Through {
  let proxy: FaultProxy | undefined;
  const opened = (): FaultProxy => proxy ?? assert.fail("no proxy yet");
  return {
    async via(port) {
      proxy = await startFaultProxy({ target: { port } });
      t.after(() => proxy?.close());
      return `http://127.0.0.1:${proxy.port}`;
    },
    toxics: () => opened().toxics,
    reset: () => opened().reset(),
  };
}
