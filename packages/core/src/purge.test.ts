import assert from "node:assert/strict";
import { test } from "node:test";

import type { Digest, Tag } from "@pullring/oci";
import { imageManifest, repositoryA, testCluster, type TestCluster, type TestNode } from "@pullring/testkit";

const latest = "latest" as Tag;

/** Holds back every publication on the node until told; `begun` resolves with the first. */
function holdPublications({ store }: TestNode) {
  const begun = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  const open = store.spool.bind(store);
  store.spool = async (digest, options) => {
    const spool = await open(digest, options);
    const settle = spool.settle.bind(spool);
    spool.settle = async (outcome) => {
      begun.resolve();
      await gate.promise;
      return settle(outcome);
    };
    return spool;
  };
  return { begun: begun.promise, goOn: gate.resolve };
}

async function purgedMeanwhile(cluster: TestCluster, digest: Digest, pull: (node: TestNode) => Promise<unknown>) {
  const [owner] = cluster.ring(digest);
  assert.ok(owner);
  const { begun, goOn } = holdPublications(owner);
  const pulling = pull(owner);
  await cluster.until(begun);
  await owner.cache.purge({ digest, atMs: cluster.clock.now() });
  goOn();
  await cluster.until(pulling);
  await cluster.clock.advance(1_000);
  return { isHeld: owner.store.held.has(digest), isShared: cluster.shared.held.has(digest) };
}

test("a blob that is purged while it is being published is not there afterwards, nor uploaded", async () => {
  const cluster = testCluster({ nodes: 2, hasShared: true });
  const digest = cluster.upstream.put(repositoryA, Buffer.alloc(1_000_000, 7));
  const found = await purgedMeanwhile(cluster, digest, async ({ cache }) => {
    const { body } = await cache.blobs.open({ repository: repositoryA, digest, client: "c" });
    body.close();
  });
  assert.deepEqual(found, { isHeld: false, isShared: false });
});

test("a manifest that is purged while it is being published is not there afterwards, nor uploaded", async () => {
  const cluster = testCluster({ nodes: 2, hasShared: true });
  const manifest = imageManifest(`sha256:${"c".repeat(64)}`, `sha256:${"1".repeat(64)}`);
  const mediaType = "application/vnd.oci.image.manifest.v1+json";
  const digest = cluster.upstream.put(repositoryA, manifest, { mediaType });
  const found = await purgedMeanwhile(cluster, digest, ({ cache }) => cache.manifests.get(repositoryA, digest));
  assert.deepEqual(found, { isHeld: false, isShared: false });
});

for (const kind of ["blob", "manifest"] as const)
  test(`a ${kind} that was purged does not come back from a node that has not heard of the purge yet`, async () => {
    const cluster = testCluster({ nodes: 3 });
    const { upstream, clock, until } = cluster;
    const bytes = imageManifest(`sha256:${"c".repeat(64)}`, `sha256:${"1".repeat(64)}`);
    const digest = upstream.put(repositoryA, bytes, { mediaType: "application/vnd.oci.image.manifest.v1+json" });
    const [owner, holder] = cluster.ring(digest);
    assert.ok(owner && holder);
    holder.store.held.set(digest, { bytes: Buffer.from(bytes), access: "public" });
    const pull = async ({ cache }: TestNode): Promise<void> => {
      if (kind === "manifest") return void (await cache.manifests.get(repositoryA, digest));
      const { body } = await cache.blobs.open({ repository: repositoryA, digest, client: "c" });
      body.close();
    };

    const order = { digest, atMs: clock.now() };
    await owner.cache.purge(order);
    await clock.advance(100);
    await until(pull(owner));
    await until(owner.cache.fills.settled());
    assert.equal(upstream.count(`${kind}_get`), 0, "the bytes are right, so they are served");
    await holder.cache.purge(order);
    assert.deepEqual(
      [owner, holder].map(({ store }) => store.held.has(digest)),
      [false, false],
    );

    await clock.advance(100);
    await until(pull(owner));
    await until(owner.cache.fills.settled());
    assert.ok(owner.store.held.has(digest), "what upstream brings after the purge stays");
  });

test("a tag record from before a purge that was entombed at the start is not taken for good", async () => {
  const { upstream, nodes, until, clock } = testCluster({ nodes: 1 });
  const [node] = nodes;
  assert.ok(node);
  const manifest = imageManifest(`sha256:${"c".repeat(64)}`, `sha256:${"1".repeat(64)}`);
  upstream.put(repositoryA, manifest, { tag: latest, mediaType: "application/vnd.oci.image.manifest.v1+json" });
  await until(node.cache.tags.get(repositoryA, latest));
  await clock.advance(1_000);
  node.cache.entomb({ repository: repositoryA, atMs: clock.now() });
  await clock.advance(1_000);
  upstream.requests.length = 0;
  await until(node.cache.tags.get(repositoryA, latest));
  assert.equal(upstream.count("manifest_head"), 1);
});
