import assert from "node:assert/strict";
import { test } from "node:test";

import type { Digest, Tag } from "@pullring/oci";
import {
  accountLane,
  down,
  imageManifest,
  repositoryA,
  repositoryB,
  testCluster,
  type TestCluster,
  type TestNode,
} from "@pullring/testkit";

import { limits } from "./limits.ts";

const latest = "latest" as Tag;
const key = `${repositoryA.upstream}/${repositoryA.name}:${latest}`;
const mediaType = "application/vnd.oci.image.manifest.v1+json";
const named = (digit: string): string => `sha256:${digit.repeat(64)}`;

function withTag(options: Parameters<typeof testCluster>[0] = {}) {
  const cluster = testCluster({ nodes: 4, ...options });
  const publish = (salt: string): Digest =>
    cluster.upstream.put(repositoryA, imageManifest(named("c"), named("1"), salt), { tag: latest, mediaType });
  return { ...cluster, publish, digest: publish("first") };
}

const pull = (node: TestNode | undefined) => {
  assert.ok(node);
  return node.cache.tags.get(repositoryA, latest);
};

const [first, second, third] = [0, 1, 2];
/** A node that owns neither the tag nor the digest. */
const bystander = (cluster: TestCluster, digest: Digest): TestNode => {
  const owners = new Set([cluster.ring(key)[0], cluster.ring(digest)[0]]);
  const found = cluster.nodes.find((node) => !owners.has(node));
  assert.ok(found);
  return found;
};

test("a cold tag that every node is asked for costs the cluster one HEAD and one counted GET", async () => {
  const cluster = withTag();
  const { nodes, upstream, until, digest } = cluster;
  const all = await until(Promise.all([...nodes, ...nodes, ...nodes].map(pull)));
  assert.ok(all.every((answer) => answer.digest === digest));
  assert.deepEqual([upstream.count("manifest_head"), upstream.count("manifest_get")], [1, 1]);
});

test("past its window a tag costs the cluster one HEAD and no GET", async () => {
  const cluster = withTag();
  const { nodes, upstream, until, clock } = cluster;
  await until(Promise.all(nodes.map(pull)));
  await clock.advance(60_000);
  upstream.requests.length = 0;
  await until(Promise.all(nodes.map(pull)));
  assert.deepEqual(upstream.requests.length, 1);
  assert.equal(upstream.count("manifest_head"), 1);
});

test("clients' HEADs of a cold tag on every node cost one HEAD and no GET", async () => {
  const { nodes, upstream, until, digest } = withTag();
  const all = await until(Promise.all(nodes.map(({ cache }) => cache.tags.resolve(repositoryA, latest))));
  assert.ok(all.every(({ record }) => record.digest === digest));
  assert.deepEqual([upstream.count("manifest_head"), upstream.count("manifest_get")], [1, 0]);
});

test("a registry whose HEAD tells nothing is asked by one counted GET", async () => {
  const { nodes, upstream, until } = withTag();
  upstream.headTells.digest = false;
  await until(Promise.all(nodes.map(pull)));
  assert.equal(upstream.count("manifest_get"), 1);
});

test("a tag that moved is told by its owner, and costs one GET of the new digest", async () => {
  const cluster = withTag();
  const { nodes, upstream, until, clock, publish } = cluster;
  await until(Promise.all(nodes.map(pull)));
  const moved = publish("second");
  await clock.advance(60_000);
  for (const node of nodes) assert.equal((await until(pull(node))).digest, moved);
  assert.deepEqual([upstream.count("manifest_head"), upstream.count("manifest_get")], [2, 2]);
});

test("when upstream is down the owner's stale record answers on every node, with its age", async () => {
  const cluster = withTag();
  const { nodes, upstream, until, clock, digest } = cluster;
  await until(pull(bystander(cluster, digest)));
  await clock.advance(limits.tagHeldCheckMs + 120_000);
  upstream.before = down;
  for (const node of nodes) {
    const { stale, digest: served } = await until(pull(node));
    assert.equal(served, digest);
    assert.equal(stale?.reason, "down");
    assert.ok((stale?.ageSec ?? 0) >= 120);
  }
});

test("the owner of a tag holds no record of a digest that nobody holds", async () => {
  const cluster = withTag();
  const { upstream, until, clock, digest } = cluster;
  await until(bystander(cluster, digest).cache.tags.resolve(repositoryA, latest));
  await clock.advance(limits.tagHeldCheckMs + 120_000);
  assert.equal(cluster.ring(key)[first]?.records.size(), 0);
  upstream.before = down;
  await until(assert.rejects(pull(cluster.ring(key)[second]), { code: "unavailable" }));
});

test("when nobody else answers, a node's own stale record does", async () => {
  const cluster = withTag({ nodes: 3 });
  const { upstream, until, clock, digest } = cluster;
  const asker = cluster.ring(key)[third];
  await until(pull(asker));
  await clock.advance(120_000);
  upstream.before = down;
  for (const { id } of cluster.nodes) if (id !== asker?.id) cluster.kill(id);
  const { stale, digest: served } = await until(pull(asker));
  assert.deepEqual([stale?.reason, served], ["down", digest]);
});

test("a node's own stale record answers in time when the tag's owner has none and upstream hangs", async () => {
  const cluster = withTag({ nodes: 3 });
  const { upstream, until, clock, digest } = cluster;
  const [owner, , asker] = cluster.ring(key);
  assert.ok(owner && asker);
  await until(pull(asker));
  await clock.advance(limits.tagHeldCheckMs + 120_000);
  await owner.cache.tags.forget(repositoryA, latest);
  upstream.before = () => new Promise(() => {});
  const beganAt = clock.monotonic();
  const { stale, digest: served } = await until(pull(asker));
  assert.deepEqual([stale?.reason, served], ["timeout", digest]);
  assert.ok(clock.monotonic() - beganAt <= limits.ownerCheckMs);
});

test("a node that knows nothing of a tag serves what another has written down, when upstream is down", async () => {
  const cluster = withTag({ nodes: 4 });
  const { upstream, until, clock, digest } = cluster;
  const [owner, next, holder] = cluster.ring(key);
  assert.ok(owner && next && holder);
  await until(pull(holder));
  await clock.advance(120_000);
  upstream.before = down;
  cluster.kill(owner.id);
  const { stale, digest: served } = await until(pull(next));
  assert.deepEqual([served, stale?.reason, stale?.ageSec], [digest, "down", 120]);
  assert.equal(upstream.count("manifest_get"), 1);
});

test("what was purged is not had again from who missed the purge", async () => {
  const cluster = withTag({ nodes: 4 });
  const { upstream, until, clock } = cluster;
  const [owner, next, holder] = cluster.ring(key);
  assert.ok(owner && next && holder);
  await until(pull(holder));
  await clock.advance(120_000);
  upstream.before = down;
  cluster.kill(owner.id);
  await until(next.cache.purge({ repository: repositoryA, tag: latest, atMs: clock.now() }));
  await until(assert.rejects(pull(next), { code: "unavailable" }));
});

test("an owner of a tag that can't be reached is passed over for the next", async () => {
  const cluster = withTag();
  const { upstream, until } = cluster;
  cluster.kill(cluster.ring(key)[first]?.id ?? "");
  await until(Promise.all(cluster.ring(key).slice(1).map(pull)));
  assert.equal(upstream.count("manifest_head"), 1);
});

test("a record from a peer never replaces a newer one", async () => {
  const cluster = withTag();
  const { until, clock, publish, upstream } = cluster;
  const [owner, , other] = cluster.ring(key);
  assert.ok(owner && other);
  await until(pull(owner));
  await clock.advance(70_000);
  const moved = publish("second");
  cluster.severed.add(`${other.id}>${owner.id}`).add(`${other.id}>${cluster.ring(key)[second]?.id}`);
  assert.equal((await until(pull(other))).digest, moved);
  cluster.severed.clear();
  upstream.before = down;
  await clock.advance(70_000);
  const { digest, stale } = await until(pull(other));
  assert.deepEqual([digest, stale?.ageSec], [moved, 70]);
});

test("a missing tag is missing for the cluster by one question", async () => {
  const { nodes, upstream, until } = withTag();
  const asking = nodes.map(({ cache }) => cache.tags.get(repositoryA, "none" as Tag));
  await until(Promise.all(asking.map((asked) => assert.rejects(asked, { code: "missing" }))));
  assert.equal(upstream.count("manifest_head"), 1);
});

test("a manifest by digest costs one GET for the cluster, and is then held where it was asked for", async () => {
  const { nodes, upstream, until, digest } = withTag();
  const all = await until(Promise.all(nodes.map(({ cache }) => cache.manifests.get(repositoryA, digest))));
  assert.equal(upstream.count("manifest_get"), 1);
  assert.deepEqual(new Set(all.map(({ tier }) => tier)), new Set(["upstream", "peer"]));
  upstream.before = down;
  for (const { cache } of nodes) assert.equal((await cache.manifests.get(repositoryA, digest)).tier, "disk");
});

test("wrong manifest bytes from a peer or shared storage are refused, told, and had elsewhere", async () => {
  const cluster = withTag({ hasShared: true });
  const { upstream, until, digest, shared } = cluster;
  const [owner, next] = cluster.ring(digest);
  assert.ok(owner && next);
  shared.held.set(digest, { bytes: Buffer.from(imageManifest(named("c"), named("2"))), access: "public" });
  owner.health.lies = true;
  const got = await until(next.cache.manifests.get(repositoryA, digest));
  assert.equal(got.digest, digest);
  assert.equal(upstream.count("manifest_get"), 1);
  const told = next.events.flatMap((event) => (event.kind === "mismatch" ? [event.from] : []));
  assert.deepEqual(told, [`peer:${owner.id}`]);
  assert.deepEqual(shared.quarantined, [digest]);
});

test("a private manifest in shared storage is served by a link or a HEAD only, and leaves no link behind", async () => {
  const cluster = withTag({ hasShared: true });
  const { upstream, until, digest, shared } = cluster;
  upstream.lanes = () => accountLane;
  const bytes = Buffer.from(imageManifest(named("c"), named("1"), "first"));
  shared.held.set(digest, { bytes, access: "linked" });
  const [owner, next] = cluster.ring(digest);
  assert.ok(owner && next);
  await until(assert.rejects(next.cache.manifests.get(repositoryB, digest), { code: "missing" }));
  assert.equal(owner.records.size(), 0);
  assert.equal((await until(owner.cache.manifests.get(repositoryA, digest))).tier, "s3");
});

test("HEAD of a manifest that a peer holds is answered while upstream is down", async () => {
  const cluster = withTag();
  const { upstream, until, digest } = cluster;
  const [owner] = cluster.ring(digest);
  await until(owner?.cache.manifests.get(repositoryA, digest) ?? Promise.reject(new Error("no owner")));
  upstream.before = down;
  const facts = await until(bystander(cluster, digest).cache.manifests.stat(repositoryA, digest));
  assert.equal(facts.mediaType, mediaType);
});

test("nodes that each take themselves for the owner of a manifest cost one counted GET, by the lease", async () => {
  const cluster = withTag({ ring: (self, _key, nodes) => [self, ...nodes.filter((node) => node !== self)] });
  const { nodes, upstream, until, digest, clock } = cluster;
  upstream.before = () => clock.sleep(300);
  await until(Promise.all(nodes.map(({ cache }) => cache.manifests.get(repositoryA, digest))));
  assert.equal(upstream.count("manifest_get"), 1);
});

test("a purged tag is asked for again; a record from before the purge never comes back", async () => {
  const cluster = withTag();
  const { upstream, until, clock } = cluster;
  const [owner, next] = cluster.ring(key);
  assert.ok(owner && next);
  await until(Promise.all([owner, next].map(pull)));
  await clock.advance(1_000);
  for (const what of [{ repository: repositoryA, tag: latest }, { repository: repositoryA }]) {
    const order = { ...what, atMs: clock.now() };
    upstream.requests.length = 0;
    for (const { cache } of cluster.nodes) await cache.purge(order);
    await clock.advance(1_000);
    await until(pull(next));
    assert.equal(upstream.count("manifest_head"), 1, JSON.stringify(order));
    await clock.advance(1_000);
  }
});
