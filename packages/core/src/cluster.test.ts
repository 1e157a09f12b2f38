import assert from "node:assert/strict";
import { test } from "node:test";

import type { Digest } from "@pullring/oci";
import { accountLane, readBytes, repositoryA, repositoryB, testCluster, type TestCluster } from "@pullring/testkit";

import { PullringError } from "./errors.ts";

const size = 3_000_000;
const content = Buffer.alloc(size, "0123456789abcdefg");
const pieceBytes = 256 * 1024;

/** A cluster whose upstream has one blob, in pieces. */
function withBlob(options: Parameters<typeof testCluster>[0] = {}) {
  const cluster = testCluster(options);
  cluster.upstream.pieceBytes = pieceBytes;
  const digest = cluster.upstream.put(repositoryA, content);
  const [owner, next, third] = cluster.ring(digest);
  assert.ok(owner && next && third);
  return { ...cluster, digest, owner, next, third };
}

const pull = async ({ node }: TestCluster, id: string, digest: Digest, repository = repositoryA) => {
  const opened = await node(id).cache.blobs.open({ repository, digest, client: "192.0.2.1" });
  return { ...opened, bytes: await readBytes(opened.body) };
};

const gets = ({ calls }: TestCluster): string[] => calls.filter((call) => call.includes(" get "));

for (const [how, chosen] of [
  ["the owner", () => 0],
  ["any node", (index: number) => index % 5],
] as const) {
  test(`40 cold clients that ask ${how} of 5 nodes cost one upstream GET`, async () => {
    const cluster = withBlob({ nodes: 5 });
    const { digest, upstream, until } = cluster;
    const ring = cluster.ring(digest);
    const pulls = Array.from({ length: 40 }, (_, index) => pull(cluster, ring[chosen(index)]?.id ?? "", digest));
    const all = await until(Promise.all(pulls));
    assert.ok(all.every(({ bytes }) => bytes.equals(content)));
    assert.equal(upstream.count("blob_get"), 1);
    assert.ok(gets(cluster).length <= 4, "one forward a node");
  });
}

test("the tier told is the one that the bytes came from first", async () => {
  const cluster = withBlob({ hasShared: true });
  const { digest, owner, next, third, until } = cluster;
  assert.equal((await until(pull(cluster, owner.id, digest))).tier, "upstream");
  assert.equal((await until(pull(cluster, next.id, digest))).tier, "peer");
  await until(owner.cache.fills.settled());
  cluster.kill(owner.id);
  cluster.kill(next.id);
  assert.equal((await until(pull(cluster, third.id, digest))).tier, "s3");
});

test("an owner has a link to what it keeps, by which it can hand it over, whoever verified the manifest", async () => {
  const cluster = withBlob();
  const { digest, owner, next, until } = cluster;
  await until(pull(cluster, next.id, digest));
  await until(owner.cache.fills.settled());
  const link = { repository: repositoryA, kind: "link", name: digest } as const;
  assert.deepEqual(await owner.records.get(link), { kind: "blob", access: "public", size });
  assert.equal(await next.records.get(link), undefined, "it keeps nothing");
});

test("a node that is not the owner keeps a blob from the third forward within a minute", async () => {
  const cluster = withBlob();
  const { digest, next, until } = cluster;
  for (const held of [0, 0, 1]) {
    await until(pull(cluster, next.id, digest));
    await until(next.cache.fills.settled());
    assert.equal(next.store.held.size, held);
  }
  assert.equal((await pull(cluster, next.id, digest)).tier, "disk");
});

test("forwards that are spread over more than a minute keep nothing", async () => {
  const cluster = withBlob();
  const { digest, next, until, clock } = cluster;
  for (let round = 0; round < 5; round += 1) {
    await until(pull(cluster, next.id, digest));
    await clock.advance(30_000);
  }
  assert.equal(next.store.held.size, 0);
  assert.equal(next.store.openSpools(), 0);
});

test("a blob that passes through stays readable for those who join before its last reader leaves", async () => {
  const cluster = withBlob();
  const { digest, next, until, node } = cluster;
  const order = { repository: repositoryA, digest, client: "192.0.2.1" };
  const first = await until(node(next.id).cache.blobs.open(order));
  const reading = first.body.next(0, size);
  await until(Promise.resolve(reading));
  await cluster.clock.advance(5_000);
  const late = await until(pull(cluster, next.id, digest));
  assert.ok(late.joined && late.bytes.equals(content));
  first.body.close();
  await until(next.cache.fills.settled());
  assert.equal(gets(cluster).length, 1);
  assert.deepEqual([next.store.held.size, next.store.openSpools()], [0, 0]);
});

test("nodes that take each other for the owner end at the lease: one GET, no cycle", async () => {
  const cluster = withBlob({
    nodes: 3,
    // Each node sees the next one as the owner of everything, and itself last.
    ring: (self, _key, nodes) => [...nodes, ...nodes].slice(nodes.indexOf(self) + 1, nodes.indexOf(self) + 4),
  });
  const { digest, until, upstream } = cluster;
  const all = await until(Promise.all(["n1", "n2", "n3"].map((id) => pull(cluster, id, digest))));
  assert.ok(all.every(({ bytes }) => bytes.equals(content)));
  assert.equal(upstream.count("blob_get"), 1);
  assert.ok(gets(cluster).length <= 3);
});

test("without leases, nodes that take each other for the owner still end", async () => {
  const cluster = withBlob({ ring: (self) => (self === "n1" ? ["n2", "n1", "n3"] : ["n1", "n2", "n3"]) });
  const { digest, until, upstream } = cluster;
  cluster.leases.isDown = true;
  const all = await until(Promise.all(["n1", "n2"].map((id) => pull(cluster, id, digest))));
  assert.ok(all.every(({ bytes }) => bytes.equals(content)));
  assert.ok(upstream.count("blob_get") <= 2);
});

test("nodes that each take themselves for the owner fetch once by the lease, and stream from its holder", async () => {
  const cluster = withBlob({ ring: (self, _key, nodes) => [self, ...nodes.filter((node) => node !== self)] });
  const { digest, until, upstream } = cluster;
  const gate = Promise.withResolvers<void>();
  upstream.pace = (sent) => (sent >= size / 2 ? gate.promise : undefined);
  const opening = ["n1", "n2", "n3"].map((id) =>
    cluster.node(id).cache.blobs.open({ repository: repositoryA, digest, client: id }),
  );
  const bodies = (await until(Promise.all(opening))).map(({ body }) => body);
  // All have the first bytes while the fill still runs.
  for (const body of bodies) await until(Promise.resolve(body.next(0, 1)));
  gate.resolve();
  const all = await until(Promise.all(bodies.map((body) => readBytes(body))));
  assert.ok(all.every((bytes) => bytes.equals(content)));
  assert.equal(upstream.count("blob_get"), 1);
});

test("what another node holds is read there, after a ring that moved", async () => {
  const cluster = withBlob();
  const { digest, owner, third, until, upstream } = cluster;
  third.store.held.set(digest, { bytes: content, access: "public" });
  const { tier, bytes } = await until(pull(cluster, owner.id, digest));
  assert.ok(bytes.equals(content));
  assert.equal(tier, "peer");
  assert.equal(upstream.count("blob_get"), 0);
  await until(owner.cache.fills.settled());
  assert.ok(owner.store.held.has(digest), "the owner keeps what it copied");
});

test("what shared storage holds costs no upstream GET, and what upstream brings is uploaded", async () => {
  const cluster = withBlob({ hasShared: true });
  const { digest, owner, until, upstream, shared } = cluster;
  await until(pull(cluster, owner.id, digest));
  await until(owner.cache.fills.settled());
  assert.ok(shared.held.get(digest)?.bytes.equals(content));
  await owner.store.remove(digest);
  assert.equal((await until(pull(cluster, owner.id, digest))).tier, "s3");
  assert.equal(upstream.count("blob_get"), 1);
});

test("the owner's verdict is final: a missing blob is asked for once by the whole cluster", async () => {
  const cluster = testCluster({ nodes: 4 });
  const digest = `sha256:${"d".repeat(64)}` as Digest;
  const asking = cluster.nodes.map(({ id }) => assert.rejects(pull(cluster, id, digest), { code: "missing" }));
  await cluster.until(Promise.all(asking));
  assert.equal(cluster.upstream.count("blob_get"), 1);
});

test("private bytes that shared storage holds are served by a link or a HEAD only", async () => {
  const cluster = withBlob({ hasShared: true });
  const { digest, owner, until, upstream, shared } = cluster;
  upstream.lanes = () => accountLane;
  shared.held.set(digest, { bytes: content, access: "linked" });
  await until(assert.rejects(pull(cluster, owner.id, digest, repositoryB), { code: "missing" }));
  assert.ok((await until(pull(cluster, owner.id, digest))).bytes.equals(content));
  assert.equal(upstream.count("blob_get"), 0);
});

test("the answer of a peer under a repository is kept as the right to it, for when upstream is down", async () => {
  const cluster = withBlob();
  const { digest, next, owner, until, upstream } = cluster;
  upstream.lanes = () => accountLane;
  for (let round = 0; round < 3; round += 1) await until(pull(cluster, next.id, digest));
  await until(next.cache.fills.settled());
  cluster.kill(owner.id);
  upstream.before = () => {
    throw new PullringError("unavailable", "upstream is down");
  };
  assert.equal((await pull(cluster, next.id, digest)).tier, "disk");
  await assert.rejects(pull(cluster, next.id, digest, repositoryB), { code: "unavailable" });
});

test("purged while it is fetched, a blob is served and not kept", async () => {
  const cluster = withBlob();
  const { digest, owner, until, upstream, clock } = cluster;
  const gate = Promise.withResolvers<void>();
  upstream.pace = (sent) => (sent >= size / 2 ? gate.promise : undefined);
  const pulling = pull(cluster, owner.id, digest);
  await clock.advance(1_000);
  await owner.cache.purge({ digest, atMs: clock.now() });
  gate.resolve();
  assert.ok((await until(pulling)).bytes.equals(content));
  await until(owner.cache.fills.settled());
  assert.equal(owner.store.held.size, 0);
  await clock.advance(1_000);
  await until(pull(cluster, owner.id, digest));
  await until(owner.cache.fills.settled());
  assert.equal(owner.store.held.size, 1, "what is fetched later stays");
});

test("after a purge nobody joins a fill from before it, so that its bytes come back nowhere", async () => {
  const cluster = withBlob();
  const { digest, owner, next, until, upstream, clock } = cluster;
  const gate = Promise.withResolvers<void>();
  upstream.pace = (sent) => (sent >= size / 2 ? gate.promise : undefined);
  const early = pull(cluster, owner.id, digest);
  await clock.advance(1_000);
  const order = { digest, atMs: clock.now() };
  await Promise.all(cluster.nodes.map(({ cache }) => cache.purge(order)));
  await clock.advance(1_000);
  const late = pull(cluster, next.id, digest);
  await clock.advance(1_000);
  assert.equal(upstream.count("blob_get"), 2);
  gate.resolve();
  for (const { bytes } of await until(Promise.all([early, late]))) assert.ok(bytes.equals(content));
  await until(owner.cache.fills.settled());
  assert.ok(owner.store.held.has(digest), "what was fetched after the purge stays");
});

test("a HEAD is answered from what peers hold, without upstream", async () => {
  const cluster = withBlob();
  const { digest, next, third, until, upstream } = cluster;
  third.store.held.set(digest, { bytes: content, access: "public" });
  assert.deepEqual(await until(next.cache.blobs.stat(repositoryA, digest)), { size, tier: "peer" });
  assert.deepEqual(upstream.requests, []);
});
