import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";

import { PullringError } from "@pullring/core";
import type { Digest, Tag } from "@pullring/oci";
import { imageManifest, repositoryA, testCache } from "@pullring/testkit";

import { eachOf } from "./each-of.ts";
import type { WarmImage } from "./image-key.ts";
import { warm, type WarmOrder, type WarmParts } from "./warm.ts";
import type { WarmStep } from "./warm-answers.ts";

const type = "application/vnd.oci.image.manifest.v1+json";
const hashOf = (text: string): Digest => `sha256:${createHash("sha256").update(text).digest("hex")}` as Digest;
const [config, layer] = [hashOf("{}"), hashOf("layer")];

function bench() {
  const { cache, clock, store, upstream } = testCache();
  upstream.put(repositoryA, "{}");
  upstream.put(repositoryA, "layer");
  const manifest = upstream.put(repositoryA, imageManifest(config, layer), { tag: "1", mediaType: type });
  const steps: WarmStep[] = [];
  const asked: string[] = [];
  const parts: WarmParts = {
    cache,
    clock,
    isHeld: (_repository, digest) => Promise.resolve(store.stat(digest) !== undefined),
    mayAsk: ({ name }) => Promise.resolve(void asked.push(name)),
  };
  const image: WarmImage = { name: "docker.io/acme/a:1", repository: repositoryA, tag: "1" as Tag };
  const order = (more: Partial<WarmOrder> = {}): WarmOrder => ({
    images: [image],
    platforms: ["linux/amd64"],
    signal: new AbortController().signal,
    tell: (step) => void steps.push(step),
    ...more,
  });
  return { parts, order, steps, asked, upstream, store, manifest, image };
}

test("warming brings the manifest and all it names, and a second time finds everything there", async () => {
  const { parts, order, steps, asked, upstream, store, manifest } = bench();
  const first = await warm(parts, order());
  assert.deepEqual(
    [first.failed, first.blobs, first.bytes],
    [0, { held: 0, fetched: 2, failed: 0 }, { held: 0, fetched: 7 }],
  );
  for (const digest of [manifest, config, layer]) assert.ok(store.held.has(digest));
  assert.deepEqual(
    steps.map(({ step }) => step),
    ["manifest", "image", "blob", "blob"],
  );
  const again = await warm(parts, order());
  assert.deepEqual(
    [again.manifests, again.blobs],
    [
      { held: 1, fetched: 0, failed: 0 },
      { held: 2, fetched: 0, failed: 0 },
    ],
  );
  assert.deepEqual([upstream.count("manifest_get"), upstream.count("blob_get"), asked], [1, 2, ["acme/a"]]);
});

test("images that share layers bring them once", async () => {
  const { parts, order, upstream, image } = bench();
  const { blobs } = await warm(parts, order({ images: [image, image] }));
  assert.deepEqual([blobs.fetched, upstream.count("blob_get")], [2, 2]);
});

test("what upstream does not have fails alone, with the reason", async () => {
  const { parts, order, steps, image } = bench();
  const none: WarmImage = { name: "docker.io/acme/a:none", repository: repositoryA, tag: "none" as Tag };
  const { failed, blobs } = await warm(parts, order({ images: [none, image] }));
  assert.deepEqual([failed, blobs.fetched], [1, 2]);
  assert.match(JSON.stringify(steps.find(({ step }) => step === "failed")), /missing/);
});

test("what is kept for others is not asked for", async () => {
  const { parts, order, steps, upstream } = bench();
  const mayAsk = (): Promise<void> => Promise.reject(new PullringError("throttled", "kept for others"));
  const { failed } = await warm({ ...parts, mayAsk }, order());
  assert.deepEqual([failed, upstream.count("manifest_get")], [1, 0]);
  assert.match(JSON.stringify(steps), /throttled: kept for others/);
});

test("whoever leaves ends it: nothing more is asked for", async () => {
  const { parts, order, upstream } = bench();
  const gone = new AbortController();
  const tell = (step: WarmStep): void => (step.step === "manifest" ? gone.abort(new Error("left")) : undefined);
  await assert.rejects(warm(parts, order({ signal: gone.signal, tell })), /left/);
  assert.equal(upstream.count("blob_get"), 0);
});

test("so many are worked on at once and no more, and nothing begins after a failure", async () => {
  let [running, most, begun] = [0, 0, 0];
  const work = async (item: number): Promise<void> => {
    begun += 1;
    running += 1;
    most = Math.max(most, running);
    await new Promise((resolve) => setImmediate(resolve));
    running -= 1;
    if (item === 5) throw new Error("five");
  };
  await assert.rejects(eachOf([1, 2, 3, 4, 5, 6, 7, 8, 9], 3, work), /five/);
  assert.deepEqual([most, running, begun <= 7], [3, 0, true]);
});
