import assert from "node:assert/strict";
import { test } from "node:test";

import type { Digest, Tag } from "@pullring/oci";
import { imageManifest, repositoryA, repositoryB, testCache } from "@pullring/testkit";

import { PullringError } from "./errors.ts";
import { limits } from "./limits.ts";

const digest = (digit: string): Digest => `sha256:${digit.repeat(64)}` as Digest;
const mediaType = "application/vnd.oci.image.manifest.v1+json";
const image = imageManifest(digest("c"), digest("1"));

test("a digest is fetched once, whatever the repository, and then served for ever", async () => {
  const { cache, upstream, clock } = testCache();
  const wanted = upstream.put(repositoryA, image, { mediaType });
  await Promise.all([repositoryA, repositoryA, repositoryB].map((at) => cache.manifests.get(at, wanted)));
  await clock.advance(1e10);
  assert.equal((await cache.manifests.get(repositoryA, wanted)).tier, "disk");
  assert.equal(upstream.count("manifest_get"), 1);
});

test("bytes that do not hash to the digest are refused, told and not kept", async () => {
  const { cache, upstream, store, events } = testCache();
  const wanted = upstream.put(repositoryA, image, { mediaType });
  const get = upstream.manifests.get.bind(upstream.manifests);
  upstream.manifests.get = async (at, reference) => ({
    ...(await get(at, reference)),
    bytes: Buffer.from(`${image} `),
  });
  await assert.rejects(cache.manifests.get(repositoryA, wanted), { code: "corrupt" });
  assert.equal(store.held.size, 0);
  assert.deepEqual(
    events.map(({ kind }) => kind),
    ["mismatch"],
  );
});

test("the media type is the one that upstream declared in this repository", async () => {
  const { cache, upstream } = testCache();
  const bare = JSON.stringify({ schemaVersion: 2, layers: [], config: { digest: digest("c"), size: 2 } });
  const wanted = upstream.put(repositoryA, bare, { mediaType: "application/vnd.docker.distribution.manifest.v2+json" });
  await cache.manifests.get(repositoryA, wanted);
  const again = await cache.manifests.get(repositoryA, wanted);
  assert.equal(again.mediaType, "application/vnd.docker.distribution.manifest.v2+json");
});

test("a blob is no manifest, even when its bytes are held", async () => {
  const { cache, upstream } = testCache();
  const layer = upstream.put(repositoryA, "just a layer");
  (await cache.blobs.open({ repository: repositoryA, digest: layer, client: "192.0.2.1" })).body.close();
  await cache.fills.settled();
  await assert.rejects(cache.manifests.get(repositoryA, layer), { code: "missing" });
});

test("schema 1 under a tag is refused, since its digest leaves the signatures out", async () => {
  const { cache, upstream } = testCache();
  upstream.headTells.digest = false;
  upstream.put(repositoryA, '{"schemaVersion":1,"fsLayers":[]}', { tag: "old" });
  await assert.rejects(cache.tags.get(repositoryA, "old" as Tag), { code: "missing" });
});

test("HEAD by digest costs no GET, unless upstream refuses HEAD", async () => {
  const { cache, upstream } = testCache();
  const wanted = upstream.put(repositoryA, image, { mediaType });
  assert.equal((await cache.manifests.stat(repositoryA, wanted)).size, image.length);
  assert.equal(upstream.count("manifest_get"), 0);
  upstream.before = (verb) => {
    if (verb === "manifest_head") throw new PullringError("unsupported", "405");
  };
  assert.equal((await cache.manifests.stat(repositoryA, wanted)).mediaType, mediaType);
  assert.equal(upstream.count("manifest_get"), 1);
});

test("a child of an index is linked, and its HEAD answered from the link", async () => {
  const { cache, upstream } = testCache();
  const child = upstream.put(repositoryA, image, { mediaType });
  const entry = { mediaType, digest: child, size: image.length };
  const index = upstream.put(repositoryA, JSON.stringify({ schemaVersion: 2, manifests: [entry] }));
  await cache.manifests.get(repositoryA, index);
  upstream.requests.length = 0;
  assert.equal((await cache.manifests.stat(repositoryA, child)).size, image.length);
  assert.deepEqual(upstream.requests, []);
});

test("a missing manifest is remembered for ten seconds, for its repository only", async () => {
  const { cache, upstream, clock } = testCache();
  const wanted = upstream.put(repositoryB, image, { mediaType });
  for (let round = 0; round < 3; round += 1)
    await assert.rejects(cache.manifests.get(repositoryA, wanted), { code: "missing" });
  assert.equal(upstream.count("manifest_get"), 1);
  await cache.manifests.get(repositoryB, wanted);
  await clock.advance(limits.negativeMs);
  assert.equal((await cache.manifests.get(repositoryA, wanted)).digest, wanted);
});
