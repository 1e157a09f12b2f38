import assert from "node:assert/strict";
import { test } from "node:test";

import type { Digest } from "@pullring/oci";
import { readBytes, repositoryA, testCluster, type TestCluster } from "@pullring/testkit";

import { PullringError } from "./errors.ts";
import { limits } from "./limits.ts";

const size = 6_000_000;
const content = Buffer.from(Array.from({ length: size }, (_, index) => (index * 7) % 251));
const pieceBytes = 256 * 1024;
const half = 12 * pieceBytes;

type Options = Parameters<typeof testCluster>[0];

/** A cluster whose upstream stops at half of its one blob until told to go on. */
function withHalfBlob(options: Options = {}) {
  const cluster = testCluster(options);
  const { upstream } = cluster;
  upstream.pieceBytes = pieceBytes;
  const digest = upstream.put(repositoryA, content);
  const gate = Promise.withResolvers<void>();
  upstream.pace = (sent) => (sent === half ? gate.promise : undefined);
  const [owner, next, third] = cluster.ring(digest);
  assert.ok(owner && next && third);
  return { ...cluster, digest, owner, next, third, goOn: gate.resolve };
}

const openAt = (cluster: TestCluster, id: string, digest: Digest) =>
  cluster.until(cluster.node(id).cache.blobs.open({ repository: repositoryA, digest, client: id }));

/** A pull that has its first bytes; the rest is `bytes`. */
async function begin(cluster: TestCluster, id: string, digest: Digest) {
  const { body } = await openAt(cluster, id, digest);
  await cluster.until(Promise.resolve(body.next(0, 1)));
  const bytes = readBytes(body);
  bytes.catch(() => {});
  return { bytes };
}

const bytesOf = (pulls: readonly { bytes: Promise<Buffer> }[]): Promise<Buffer[]> =>
  Promise.all(pulls.map(({ bytes }) => bytes));

/** Each node takes itself for the owner, so that only the lease decides who asks upstream. */
const selfish: Options = { ring: (self, _key, nodes) => [self, ...nodes.filter((node) => node !== self)] };

test("the owner dies in the middle of a body: the others go on, with one more GET, and that a range", async () => {
  const cluster = withHalfBlob({ nodes: 5 });
  const { digest, owner, upstream, until, clock } = cluster;
  const reading = await Promise.all(
    cluster
      .ring(digest)
      .slice(1)
      .map(({ id }) => begin(cluster, id, digest)),
  );
  await clock.advance(1_000);
  cluster.kill(owner.id);
  cluster.goOn();
  const all = await until(bytesOf(reading));
  assert.ok(all.every((bytes) => bytes.equals(content)));
  assert.equal(upstream.count("blob_get"), 2);
  const offset = upstream.offsets[1] ?? 0;
  assert.ok(offset > half - 2 * limits.tailBytes && offset <= half, `the rest only, from ${offset}`);
});

test("the lease's holder dies: a waiter takes over within two seconds, and asks for the rest only", async () => {
  const cluster = withHalfBlob(selfish);
  const { digest, upstream, until, clock } = cluster;
  await begin(cluster, "n1", digest);
  const waiters = [await begin(cluster, "n2", digest), await begin(cluster, "n3", digest)];
  await clock.advance(1_000);
  cluster.kill("n1");
  assert.equal(upstream.count("blob_get"), 1);
  await clock.advance(2_000);
  assert.equal(upstream.count("blob_get"), 2);
  cluster.goOn();
  const all = await until(bytesOf(waiters));
  assert.ok(all.every((bytes) => bytes.equals(content)));
  assert.equal(upstream.count("blob_get"), 2);
  assert.ok((upstream.offsets[1] ?? 0) > half - 2 * limits.tailBytes);
});

test("the lease's holder hangs: a waiter takes over within 17 s", async () => {
  const cluster = withHalfBlob(selfish);
  const { digest, upstream, until, clock } = cluster;
  await begin(cluster, "n1", digest);
  const waiter = await begin(cluster, "n2", digest);
  cluster.node("n1").health.hangs = true;
  await clock.advance(9_000);
  assert.equal(upstream.count("blob_get"), 1);
  await clock.advance(8_000);
  assert.equal(upstream.count("blob_get"), 2);
  cluster.goOn();
  assert.ok((await until(waiter.bytes)).equals(content));
  assert.equal(upstream.count("blob_get"), 2);
});

test("a holder that moves is never taken over, however long it takes", async () => {
  const cluster = withHalfBlob(selfish);
  const { digest, upstream, until, clock } = cluster;
  upstream.pieceBytes = size / 6;
  upstream.pace = async () => {
    await clock.sleep(9_000);
  };
  const holder = openAt(cluster, "n1", digest);
  const waiter = openAt(cluster, "n2", digest);
  const bodies = (await until(Promise.all([holder, waiter]))).map(({ body }) => readBytes(body));
  for (const bytes of await until(Promise.all(bodies))) assert.ok(bytes.equals(content));
  assert.equal(upstream.count("blob_get"), 1);
});

test("whoever takes over copies the longest part that somebody has, and asks upstream for the rest", async () => {
  const cluster = withHalfBlob(selfish);
  const { digest, upstream, until, clock, calls } = cluster;
  // n2 broke at half, and its reader left; nobody else has anything.
  await begin(cluster, "n2", digest);
  await clock.advance(1_000);
  for (const fill of cluster.node("n2").cache.fills.list()) fill.stop();
  await clock.advance(100);
  cluster.goOn();
  const { body } = await openAt(cluster, "n1", digest);
  assert.ok((await until(readBytes(body))).equals(content));
  assert.ok(calls.includes("n1 read n2"));
  assert.equal(upstream.offsets.length, 2);
  assert.ok((upstream.offsets[1] ?? 0) >= half - 1);
});

test("an owner that refuses or is silent is passed over for the next node", async () => {
  for (const fault of ["refuses", "hangs"] as const) {
    const cluster = withHalfBlob();
    const { digest, owner, third, upstream, until } = cluster;
    cluster.goOn();
    if (fault === "refuses") cluster.kill(owner.id);
    else owner.health.hangs = true;
    const { body } = await openAt(cluster, third.id, digest);
    assert.ok((await until(readBytes(body))).equals(content));
    assert.equal(upstream.count("blob_get"), 1);
  }
});

test("with leases unavailable everything is served, once by owner", async () => {
  const cluster = withHalfBlob({ nodes: 5 });
  const { digest, upstream, until, nodes } = cluster;
  cluster.leases.isDown = true;
  cluster.goOn();
  const all = await until(bytesOf(await Promise.all(nodes.map(({ id }) => begin(cluster, id, digest)))));
  assert.ok(all.every((bytes) => bytes.equals(content)));
  assert.equal(upstream.count("blob_get"), 1);
});

test("a leaf never waits for a peer: it is told of nothing, or cut where the peer's bytes end", async () => {
  const cluster = withHalfBlob();
  const { digest, owner, next, third, until, clock } = cluster;
  const order = { verb: "read", repository: repositoryA, digest, from: third.id, offset: 0 } as const;
  // A fill that waits for its first byte from a peer.
  owner.cache.peers.openBlob = () => new Promise(() => {});
  const waiting = next.cache.blobs.open({ repository: repositoryA, digest, client: "c" });
  waiting.catch(() => {});
  await clock.advance(1_000);
  await until(assert.rejects(next.cache.peers.openBlob(order), { code: "missing" }));
  assert.equal(await next.cache.peers.holding(repositoryA, digest), undefined);
  for (const fill of next.cache.fills.list()) fill.stop();
  await until(next.cache.fills.settled());
});

test("a leaf is told of nothing within a second while upstream has not answered, and follows from the head on", async () => {
  const cluster = withHalfBlob();
  const { digest, owner, third, until, clock, upstream } = cluster;
  const answered = Promise.withResolvers<void>();
  upstream.before = () => answered.promise;
  const opening = owner.cache.blobs.open({ repository: repositoryA, digest, client: "c" });
  await clock.advance(100);
  const order = { verb: "read", repository: repositoryA, digest, from: third.id, offset: 0 } as const;
  const askedMs = clock.monotonic();
  await until(assert.rejects(owner.cache.peers.openBlob(order), { code: "missing" }));
  assert.ok(clock.monotonic() - askedMs <= limits.leafOpenMs + 10);
  const leaf = owner.cache.peers.openBlob(order);
  answered.resolve();
  cluster.goOn();
  assert.ok((await until(readBytes((await until(leaf)).body))).equals(content));
  (await until(opening)).body.close();
  assert.deepEqual(
    owner.cache.fills
      .list()
      .map(({ readers }) => readers)
      .filter(Boolean),
    [],
  );
});

test("a leaf of a peer-fed fill brings what is there and is then cut", async () => {
  const cluster = withHalfBlob();
  const { digest, next, third, until, clock } = cluster;
  const reading = await begin(cluster, next.id, digest);
  await clock.advance(1_000);
  const holding = await next.cache.peers.holding(repositoryA, digest);
  assert.equal(holding?.state, "partial");
  const order = { verb: "read", repository: repositoryA, digest, from: third.id, offset: 0 } as const;
  const { body } = await next.cache.peers.openBlob(order);
  await until(assert.rejects(readBytes(body), { code: "cut" }));
  await until(assert.rejects(next.cache.peers.openBlob({ ...order, offset: half }), { code: "missing" }));
  cluster.goOn();
  assert.ok((await until(reading.bytes)).equals(content));
});

test("a leaf of a fill that upstream feeds follows it to its end", async () => {
  const cluster = withHalfBlob();
  const { digest, owner, third, until, clock } = cluster;
  const reading = await begin(cluster, owner.id, digest);
  await clock.advance(1_000);
  assert.equal((await owner.cache.peers.holding(repositoryA, digest))?.state, "growing");
  const order = { verb: "read", repository: repositoryA, digest, from: third.id, offset: 0 } as const;
  const { body } = await owner.cache.peers.openBlob(order);
  const leaf = readBytes(body);
  cluster.goOn();
  assert.ok((await until(leaf)).equals(content));
  await until(reading.bytes);
});

test("wrong bytes from a peer never complete; the peer is not asked for them again, and the next pull is right", async () => {
  const cluster = withHalfBlob();
  const { digest, owner, next, until } = cluster;
  cluster.goOn();
  owner.health.lies = true;
  const { body } = await openAt(cluster, next.id, digest);
  await until(assert.rejects(readBytes(body), { code: "corrupt" }));
  assert.deepEqual(
    next.events.flatMap((event) => (event.kind === "mismatch" ? [`${event.source} ${event.from}`] : [])),
    [`peer peer:${owner.id}`],
  );
  assert.equal(next.store.held.size, 0);
  const again = await openAt(cluster, next.id, digest);
  assert.ok((await until(readBytes(again.body))).equals(content));
});

test("wrong bytes from shared storage never complete, and are put in quarantine there", async () => {
  const cluster = withHalfBlob({ hasShared: true });
  const { digest, owner, until, shared } = cluster;
  cluster.goOn();
  const wrong = Buffer.from(content);
  wrong[9] = 0;
  shared.held.set(digest, { bytes: wrong, access: "public" });
  const { body } = await openAt(cluster, owner.id, digest);
  await until(assert.rejects(readBytes(body), { code: "corrupt" }));
  assert.deepEqual(shared.quarantined, [digest]);
  const again = await openAt(cluster, owner.id, digest);
  assert.equal(again.tier, "upstream");
  assert.ok((await until(readBytes(again.body))).equals(content));
});

test("a small body that came wrong is taken from the next place, and the client notices nothing", async () => {
  const cluster = testCluster({ hasShared: true });
  const digest = cluster.upstream.put(repositoryA, "a small config");
  const [owner, next] = cluster.ring(digest);
  assert.ok(owner && next);
  cluster.shared.held.set(digest, { bytes: Buffer.from("a smell config"), access: "public" });
  owner.health.lies = true;
  const { body, tier } = await openAt(cluster, next.id, digest);
  assert.equal((await cluster.until(readBytes(body))).toString(), "a small config");
  // By way of the owner, which found shared storage wrong, asked upstream and uploaded that.
  assert.equal(tier, "s3");
  assert.deepEqual(cluster.shared.quarantined, [digest]);
});

test("an upstream that cuts is gone on with by its owner; forwarders and leaves notice nothing", async () => {
  const cluster = withHalfBlob();
  const { digest, upstream, until, nodes } = cluster;
  let cuts = 0;
  upstream.pace = (sent) => {
    if (sent === half && (cuts += 1) === 1) throw new PullringError("cut", "upstream broke off");
  };
  const all = await until(bytesOf(await Promise.all(nodes.map(({ id }) => begin(cluster, id, digest)))));
  assert.ok(all.every((bytes) => bytes.equals(content)));
  assert.deepEqual(upstream.offsets, [0, half - 1]);
});

test("peers' fills do not stand in the queue of the clients' fills, which may be waiting for them", async () => {
  const cluster = testCluster({ nodes: 2 });
  const { upstream, until } = cluster;
  const blobs = Array.from({ length: 300 }, (_, index) => upstream.put(repositoryA, `blob ${index}`));
  // Every node's clients ask for what the other owns, more at once than there is room for.
  const pulls = blobs.map(async (digest, index) => {
    const asker = cluster.ring(digest)[1];
    assert.ok(asker);
    const { body } = await asker.cache.blobs.open({ repository: repositoryA, digest, client: `c${index}` });
    return readBytes(body);
  });
  assert.equal((await until(Promise.all(pulls))).length, 300);
});
