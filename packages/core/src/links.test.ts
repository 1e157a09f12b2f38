import assert from "node:assert/strict";
import { test } from "node:test";

import { accountLane, down, imageManifest, repositoryA, repositoryB, testCache } from "@pullring/testkit";
import type { Tag } from "@pullring/oci";

import { PullringError } from "./errors.ts";

const mediaType = "application/vnd.oci.image.manifest.v1+json";
const client = "192.0.2.1";
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A private image that was pulled in A, by an account. */
async function withPrivateImage() {
  const all = testCache();
  const { cache, upstream } = all;
  upstream.lanes = () => accountLane;
  const config = upstream.put(repositoryA, "{}");
  const layer = upstream.put(repositoryA, "layer");
  const manifest = upstream.put(repositoryA, imageManifest(config, layer), { tag: "latest", mediaType });
  await cache.tags.get(repositoryA, "latest" as Tag);
  const opened = await cache.blobs.open({ repository: repositoryA, digest: layer, client });
  opened.body.close();
  await Promise.all(cache.fills.list().map((fill) => fill.access));
  await cache.fills.settled();
  upstream.requests.length = 0;
  return { ...all, config, layer, manifest };
}

test("a private blob is served where its manifest was seen, without asking", async () => {
  const { cache, upstream, layer } = await withPrivateImage();
  const opened = await cache.blobs.open({ repository: repositoryA, digest: layer, client });
  assert.equal(opened.tier, "disk");
  assert.deepEqual(upstream.requests, []);
});

test("under another repository one HEAD there decides, and a no is a no", async () => {
  const { cache, upstream, layer, manifest } = await withPrivateImage();
  await assert.rejects(cache.blobs.open({ repository: repositoryB, digest: layer, client }), { code: "missing" });
  await assert.rejects(cache.blobs.stat(repositoryB, layer), { code: "missing" });
  await assert.rejects(cache.manifests.get(repositoryB, manifest), { code: "missing" });
  await assert.rejects(cache.manifests.stat(repositoryB, manifest), { code: "missing" });
  assert.deepEqual([upstream.count("blob_get"), upstream.count("manifest_get")], [0, 0]);
  assert.ok(upstream.requests.every((request) => request.includes("acme/b@")));
});

test("a yes is remembered as a link", async () => {
  const { cache, upstream, layer } = await withPrivateImage();
  upstream.put(repositoryB, "layer");
  for (let round = 0; round < 3; round += 1)
    (await cache.blobs.open({ repository: repositoryB, digest: layer, client })).body.close();
  assert.deepEqual(upstream.requests, [`blob_head docker.io/acme/b@${layer}`]);
});

test("when upstream can't be asked, doubt is an error and not the bytes", async () => {
  const { cache, upstream, layer } = await withPrivateImage();
  upstream.before = down;
  await assert.rejects(cache.blobs.open({ repository: repositoryB, digest: layer, client }), { code: "unavailable" });
  assert.equal((await cache.blobs.open({ repository: repositoryA, digest: layer, client })).tier, "disk");
});

test("bytes that an anonymous lane brought need no link", async () => {
  const { cache, upstream } = testCache();
  const digest = upstream.put(repositoryA, "public layer");
  (await cache.blobs.open({ repository: repositoryA, digest, client })).body.close();
  await cache.fills.settled();
  upstream.before = down;
  assert.equal((await cache.blobs.open({ repository: repositoryB, digest, client })).tier, "disk");
});

test("who joins a private fill from another repository needs rights of his own", async () => {
  const { cache, upstream } = testCache();
  upstream.lanes = () => accountLane;
  const digest = upstream.put(repositoryA, "a private layer");
  const gate = Promise.withResolvers<void>();
  upstream.before = (verb) => (verb === "blob_get" ? gate.promise : undefined);
  const first = cache.blobs.open({ repository: repositoryA, digest, client });
  await settle();
  const second = assert.rejects(cache.blobs.open({ repository: repositoryB, digest, client }), { code: "missing" });
  await settle();
  gate.resolve();
  (await first).body.close();
  await second;
  assert.equal(upstream.count("blob_get"), 1);
});

test("who joins a fill that fails for want of rights elsewhere begins his own", async () => {
  const { cache, upstream } = testCache();
  const digest = upstream.put(repositoryB, "in b only");
  const gate = Promise.withResolvers<void>();
  upstream.before = async (verb, repository) => {
    if (verb !== "blob_get" || repository.name !== repositoryA.name) return;
    await gate.promise;
    throw new PullringError("missing", "not in a", { reason: "refused" });
  };
  const first = assert.rejects(cache.blobs.open({ repository: repositoryA, digest, client }), { code: "missing" });
  await settle();
  const second = cache.blobs.open({ repository: repositoryB, digest, client });
  await settle();
  gate.resolve();
  await first;
  (await second).body.close();
});
