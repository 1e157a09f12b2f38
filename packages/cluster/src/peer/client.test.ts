import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";

import { bytesBody, PullringError, type ErrorCode, type PeerBlobOrder, type PurgeOrder } from "@pullring/core";
import { eventually } from "@pullring/testkit";

import { formatFacts } from "./facts.ts";
import {
  brokenBody,
  clientFor,
  digestOf,
  failsAs,
  latest,
  realClock,
  repository,
  service,
  serving,
  skewedClock,
  someBytes,
  startPeer,
  taking,
} from "./test-peers.ts";
import { formatTarget, requestHeader } from "./wire.ts";

const trust = { secrets: () => ["a secret of this cluster"] };
const bytes = someBytes(3_000_000);
const digest = digestOf(bytes);

test("a blob streams whole, and its sink is told once what it is", async (t) => {
  const orders: PeerBlobOrder[] = [];
  const peer = await startPeer(t, {
    trust,
    service: service({
      openBlob: (order) => (orders.push(order), Promise.resolve({ body: bytesBody(bytes), access: "linked" })),
    }),
  });
  const client = clientFor(t, { trust, urls: { n2: peer.url } });
  const taken = taking();
  await client.blobs.get("n2", { repository, digest, offset: 0 }, taken.sink);
  assert.deepEqual(taken.heads, [
    { lane: { name: "peer:n2", access: "linked" }, offset: 0, size: bytes.length, resumable: true, whole: false },
  ]);
  assert.ok(taken.bytes().equals(bytes));
  assert.deepEqual(orders, [{ verb: "get", repository, digest, from: "n1", offset: 0 }]);
  assert.deepEqual(client.asked, [{ peer: "n2", verb: "get", outcome: "ok" }]);
  await eventually(() => peer.served.some(({ verb, outcome }) => verb === "blob" && outcome === "ok"));
});

test("a blob that rests at the peer is said to", async (t) => {
  const openBlob = () => Promise.resolve({ body: bytesBody(bytes), access: "public" as const, whole: true });
  const peer = await startPeer(t, { trust, service: service({ openBlob }) });
  const taken = taking();
  const client = clientFor(t, { trust, urls: { n2: peer.url } });
  await client.blobs.get("n2", { repository, digest, offset: 0 }, taken.sink);
  assert.deepEqual(
    taken.heads.map(({ whole }) => whole),
    [true],
  );
});

test("a blob is resumed at any offset", async (t) => {
  const peer = await startPeer(t, { trust, service: serving(bytes) });
  const client = clientFor(t, { trust, urls: { n2: peer.url } });
  for (const offset of [1, 64 * 1024, bytes.length - 1]) {
    const taken = taking();
    await client.blobs.read("n2", { repository, digest, offset }, taken.sink);
    assert.equal(taken.heads[0]?.offset, offset);
    assert.ok(taken.bytes().equals(bytes.subarray(offset)));
  }
});

test("an empty blob is a blob", async (t) => {
  const peer = await startPeer(t, { trust, service: serving(Buffer.alloc(0)) });
  const taken = taking();
  const request = { repository, digest: digestOf(Buffer.alloc(0)), offset: 0 };
  await clientFor(t, { trust, urls: { n2: peer.url } }).blobs.get("n2", request, taken.sink);
  assert.equal(taken.heads[0]?.size, 0);
});

test("nothing behind the end of a blob is a statement about the blob", async (t) => {
  const peer = await startPeer(t, { trust, service: serving(bytes) });
  const client = clientFor(t, { trust, urls: { n2: peer.url } });
  const request = { repository, digest, offset: bytes.length };
  await assert.rejects(client.blobs.get("n2", request, taking().sink), failsAs("unreachable"));
});

for (const length of [2_000_000, 40_000]) {
  test(`a body of ${length} bytes that breaks is cut, and what it brought has been delivered`, async (t) => {
    const whole = bytes.subarray(0, length);
    const body = brokenBody(whole, length / 2);
    const peer = await startPeer(t, {
      trust,
      service: service({ openBlob: () => Promise.resolve({ body, access: "public" }) }),
    });
    const client = clientFor(t, { trust, urls: { n2: peer.url } });
    const taken = taking();
    await assert.rejects(client.blobs.get("n2", { repository, digest, offset: 0 }, taken.sink), failsAs("cut"));
    assert.ok(taken.bytes().equals(whole.subarray(0, length / 2)));
    assert.deepEqual(client.asked, [{ peer: "n2", verb: "get", outcome: "cut" }]);
    assert.deepEqual(client.reports, ["n2 ok"]);
  });
}

test("a body that breaks ends its connection, kept or not, and never looks whole", { timeout: 10_000 }, async (t) => {
  const body = brokenBody(bytes, 1000);
  const openBlob = () => Promise.resolve({ body, access: "public" as const });
  const peer = await startPeer(t, { service: service({ openBlob }) });
  const { host } = new URL(peer.url);
  const facts = { from: "n1", to: "n2", host, epoch: "", boot: "", timeMs: 0, nonce: "n".repeat(16) };
  const target = formatTarget({ kind: "blob", verb: "get", repository, digest });
  const socket = connect(peer.port, "127.0.0.1");
  socket.write(`GET ${target} HTTP/1.1\r\nhost: x\r\n${requestHeader}: ${formatFacts(facts)}\r\n\r\n`);
  let answer = "";
  for await (const chunk of socket.setEncoding("latin1")) answer += chunk;
  const [head = "", ...rest] = answer.split("\r\n\r\n");
  assert.match(head, new RegExp(`^content-length: ${bytes.length}$`, "m"));
  assert.equal(rest.join("\r\n\r\n").length, 1000);
});

const codes: readonly ErrorCode[] = [
  "missing",
  "denied",
  "throttled",
  "unavailable",
  "unsupported",
  "cut",
  "corrupt",
  "too_large",
  "busy",
];
for (const code of codes) {
  test(`the error ${code} survives the wire with its facts`, async (t) => {
    const error = new PullringError(code, "words that stay here", { reason: "refused", retryAfterSec: 7.2 });
    const fails = (): Promise<never> => Promise.reject(error);
    const peer = await startPeer(t, {
      trust,
      service: service({ openBlob: fails, manifest: fails, resolve: fails, purge: fails, holding: fails }),
    });
    const client = clientFor(t, { trust, urls: { n2: peer.url } });
    const arrives = (found: unknown): boolean => {
      assert.ok(failsAs(code, "refused")(found));
      assert.equal((found as PullringError).retryAfterSec, 8);
      assert.doesNotMatch(String(found), /words/);
      return true;
    };
    await assert.rejects(client.blobs.get("n2", { repository, digest, offset: 0 }, taking().sink), arrives);
    await assert.rejects(client.manifests.read("n2", repository, digest), arrives);
    await assert.rejects(client.manifests.resolve("n2", repository, latest), arrives);
    await assert.rejects(client.purge("n2", { repository, atMs: 0 }), arrives);
    assert.deepEqual(await client.blobs.holders(["n2"], repository, digest), []);
    assert.equal(client.reports.includes("n2 refused"), false, "an error is an answer");
  });
}

test("that a peer could not reach another one is not taken for that it could not be reached, nor its own fault for a miss", async (t) => {
  const unreachable = new PullringError("unreachable", "the holder");
  const fault = new TypeError("a bug");
  const peer = await startPeer(t, {
    trust,
    service: service({ openBlob: () => Promise.reject(unreachable), manifest: () => Promise.reject(fault) }),
  });
  const client = clientFor(t, { trust, urls: { n2: peer.url } });
  await assert.rejects(
    client.blobs.get("n2", { repository, digest, offset: 0 }, taking().sink),
    failsAs("unavailable", "down"),
  );
  await assert.rejects(client.manifests.get("n2", repository, digest), failsAs("unavailable", "down"));
  assert.deepEqual(peer.faults, [fault]);
});

test("a manifest comes whole with its type, up to the bound of manifests", async (t) => {
  const manifests = [someBytes(9_000), Buffer.alloc(4 * 1024 * 1024 + 1)];
  const mediaType = "application/vnd.oci.image.manifest.v1+json";
  const peer = await startPeer(t, {
    trust,
    service: service({
      manifest: (verb) => Promise.resolve({ bytes: manifests[verb === "get" ? 0 : 1]!, mediaType, access: "linked" }),
    }),
  });
  const client = clientFor(t, { trust, urls: { n2: peer.url } });
  const answer = await client.manifests.get("n2", repository, digest);
  assert.deepEqual(answer, {
    lane: { name: "peer:n2", access: "linked" },
    digest,
    mediaType,
    bytes: manifests[0],
  });
  await assert.rejects(client.manifests.read("n2", repository, digest), failsAs("too_large"));
});

for (const skewMs of [3_600_000, -3_600_000]) {
  test(`with clocks ${skewMs / 60_000} minutes apart nodes trust each other, and a tag keeps its age`, async (t) => {
    const there = skewedClock(skewMs);
    const record = { digest, mediaType: "a/b", size: 7, access: "public", checkedAt: there.now() - 60_000 } as const;
    const stale = { reason: "timeout", ageSec: 60, overdueSec: 30 } as const;
    const purged: PurgeOrder[] = [];
    const peer = await startPeer(t, {
      trust,
      clock: there,
      service: service({
        resolve: () => Promise.resolve({ record, stale }),
        purge: (order) => (purged.push(order), Promise.resolve()),
      }),
    });
    const client = clientFor(t, { trust, urls: { n2: peer.url } });
    const resolved = await client.manifests.resolve("n2", repository, latest);
    const ageMs = realClock.now() - resolved.record.checkedAt;
    assert.ok(ageMs >= 60_000 && ageMs < 62_000, `${ageMs} ms old`);
    assert.deepEqual(
      { ...resolved, record: { ...resolved.record, checkedAt: 0 } },
      { record: { ...record, checkedAt: 0 }, stale },
    );

    await client.purge("n2", { repository, tag: latest, atMs: realClock.now() - 5_000 });
    const agoMs = there.now() - (purged[0]?.atMs ?? 0);
    assert.ok(agoMs >= 5_000 && agoMs < 7_000, `${agoMs} ms ago`);
    assert.deepEqual({ ...purged[0], atMs: 0 }, { repository, tag: latest, atMs: 0 });
  });
}

test("a greeting tells who answers, and both ends learn of the other's ring", async (t) => {
  const peer = await startPeer(t, { trust, service: service({}) });
  const client = clientFor(t, { trust, urls: { n2: peer.url } });
  const greeting = { id: "n2", incarnation: "first", epoch: "b".repeat(16), version: 1 };
  assert.deepEqual(await client.hello(peer.url), greeting);
  assert.deepEqual(await client.hello(peer.url, "n2"), greeting);
  await assert.rejects(client.hello(peer.url, "n3"), failsAs("unreachable"));
  assert.deepEqual(new Set(peer.epochs), new Set(["a".repeat(16)]));
  assert.deepEqual(new Set(client.epochs), new Set(["b".repeat(16)]));
});

test("holders are those who say so in time", async (t) => {
  const held = { state: "growing", bytes: 5, size: 9, access: "linked" } as const;
  const start = (id: string, holding: () => Promise<typeof held | undefined>) =>
    startPeer(t, { trust, id, service: service({ holding }) });
  const late = Promise.withResolvers<undefined>();
  t.after(() => late.resolve(undefined));
  const n2 = await start("n2", () => Promise.resolve(held));
  const n3 = await start("n3", () => Promise.resolve(undefined));
  const n4 = await start("n4", () => late.promise);
  const urls = { n2: n2.url, n3: n3.url, n4: n4.url, n5: "http://127.0.0.1:1" };
  const client = clientFor(t, { trust, urls });
  // The first questions also dial.
  await Promise.all(["n2", "n3", "n4"].map((node) => client.hello(urls[node as "n2"], node)));
  const startedMs = performance.now();
  const holders = await client.blobs.holders(["n2", "n3", "n4", "n5", "n6"], repository, digest);
  assert.ok(performance.now() - startedMs < 1_000);
  assert.deepEqual(holders, [{ node: "n2", ...held }]);
  assert.ok(client.reports.includes("n5 refused"));
  assert.equal(client.reports.includes("n4 timeout"), false, "to be late once is no illness");
});

test("a node that is no member is not dialled", async (t) => {
  const client = clientFor(t, { urls: {} });
  await assert.rejects(client.manifests.get("n9", repository, digest), failsAs("unreachable"));
  assert.deepEqual(client.reports, []);
});

test("a request that is given up ends with the reason of whoever gave it up", async (t) => {
  const ended = new AbortController();
  const peer = await startPeer(t, {
    trust,
    service: service({ openBlob: () => (ended.abort(new Error("enough")), new Promise(() => {})) }),
  });
  const client = clientFor(t, { trust, urls: { n2: peer.url } });
  const request = { repository, digest, offset: 0, signal: ended.signal };
  await assert.rejects(client.blobs.get("n2", request, taking().sink), /enough/);
  assert.deepEqual(client.asked, [{ peer: "n2", verb: "get", outcome: "aborted" }]);
});

test("a sink that takes no more holds the peer back", async (t) => {
  const whole = someBytes(64 * 1024 * 1024);
  let handedOut = 0;
  const body = {
    size: whole.length,
    next(offset: number, end: number) {
      handedOut = Math.min(end, offset + 64 * 1024);
      return { bytes: whole.subarray(offset, handedOut) };
    },
    close: () => {},
  };
  const peer = await startPeer(t, {
    trust,
    service: service({ openBlob: () => Promise.resolve({ body, access: "public" }) }),
  });
  const client = clientFor(t, { trust, urls: { n2: peer.url } });
  const gate = Promise.withResolvers<void>();
  let taken = 0;
  const done = client.blobs.get(
    "n2",
    { repository, digest, offset: 0 },
    { head: () => {}, write: (chunk) => ((taken += chunk.length), gate.promise) },
  );
  // What the kernel's buffers take comes through; then nothing moves until the sink goes on.
  let before = -1;
  await eventually(() => (handedOut > 0 && handedOut === before) || void (before = handedOut), { intervalMs: 200 });
  assert.ok(handedOut < whole.length / 2, `${handedOut} bytes left the peer`);
  assert.ok(taken <= 1024 * 1024);
  gate.resolve();
  await done;
  assert.equal(taken, whole.length);
});

test("a peer tells of its fills and lanes", async (t) => {
  const peer = await startPeer(t, { trust, service: service({}) });
  const client = clientFor(t, { trust, urls: { n2: peer.url } });
  assert.deepEqual(await client.fills("n2"), [{ digest: "sha256:n2" }]);
  assert.deepEqual(await client.quota("n2"), [{ lane: "n2" }]);
  assert.deepEqual(await client.view("n2", "cache"), { id: "n2", view: "cache", query: "" });
  const query = "after=docker.io%2Fa%3A1&limit=5";
  assert.deepEqual(await client.view("n2", "images", query), { id: "n2", view: "images", query });
});

test("an address that peers may not have is not dialled, by a name or by itself", async (t) => {
  const peer = await startPeer(t, { trust, service: service({}) });
  const byName = peer.url.replace("127.0.0.1", "localhost");
  const asked: string[] = [];
  const admits = (address: string): boolean => {
    asked.push(address);
    return false;
  };
  const client = clientFor(t, { trust, admits, urls: { n2: peer.url, n3: byName } });
  for (const node of ["n2", "n3"]) await assert.rejects(client.fills(node), { code: "unreachable" });
  assert.ok(asked.includes("127.0.0.1") && peer.served.length === 0);
});
