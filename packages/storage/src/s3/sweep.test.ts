import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test, type TestContext } from "node:test";

import { algorithmOf, hexOf, type Digest } from "@pullring/oci";
import { eventually, jumpingClock, memoryBlobStore, sampleBytes, sampleDigest, startS3Double } from "@pullring/testkit";

import { limits } from "./limits.ts";
import type { S3Options } from "./s3.ts";
import { openTier, readFrom, repository } from "./test-tier.ts";

const day = 86_400_000;
const keyOf = (of: Digest): string => `test/v1/blobs/${algorithmOf(of)}/${hexOf(of).slice(0, 2)}/${hexOf(of)}`;

async function bench(t: TestContext, options: Pick<Partial<S3Options>, "expireMs" | "exclusively"> = {}) {
  const double = await startS3Double();
  t.after(() => double.close());
  const clock = jumpingClock();
  const open = () =>
    openTier({ endpoint: double.endpoint, local: memoryBlobStore(), clock, expireMs: 30 * day, ...options });
  const rig = await open();
  await eventually(() => rig.tier.capabilities());
  let seed = 1;
  const store = (bytes: Buffer = sampleBytes(1_000, (seed += 1))): Digest => {
    const digest = sampleDigest(bytes);
    double.objects.set(keyOf(digest), { bytes, metadata: {}, modifiedAt: Date.now() });
    return digest;
  };
  const manifest = (document: object): Digest => store(Buffer.from(JSON.stringify(document)));
  const image = (...layers: readonly Digest[]): Digest =>
    manifest({
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      config: descriptor(layers[0]!),
      layers: layers.map((layer) => descriptor(layer)),
    });
  const tag = async (name: string, digest: Digest): Promise<void> => {
    await rig.tier.records.put({ repository, kind: "tag", name }, { digest, checkedAt: clock.now() });
    assert.ok(await rig.tier.flush(5_000));
  };
  const there = (digest: Digest): boolean => double.objects.has(keyOf(digest));
  return { double, clock, rig, open, store, image, manifest, tag, there };
}

const descriptor = (digest: Digest, mediaType = "application/octet-stream") => ({ digest, mediaType, size: 1_000 });

test("what nobody asked for in so long goes, and is counted", async (t) => {
  const { rig, clock, store, there } = await bench(t);
  const [first, second] = [store(), store()];
  clock.shift(29 * day);
  await rig.tier.sweep();
  assert.ok(there(first) && there(second));
  assert.deepEqual(rig.tier.usage(), { objects: 2, bytes: 2_000 });
  clock.shift(2 * day);
  await rig.tier.sweep();
  assert.ok(!there(first) && !there(second));
  assert.deepEqual(rig.tier.usage(), { objects: 0, bytes: 0 });
});

test("without a time nothing ever goes", async (t) => {
  const { rig, clock, store, there } = await bench(t, { expireMs: 0 });
  const blob = store();
  clock.shift(10_000 * day);
  await rig.tier.sweep();
  assert.ok(there(blob));
});

test("what was read from S3 or from a node's own disk stays, whichever node it was and whichever sweeps", async (t) => {
  const { rig, clock, store, there, open } = await bench(t);
  const [read, used, unused] = [store(), store(), store()];
  const other = await open();
  await eventually(() => other.tier.capabilities());
  clock.shift(20 * day);
  await readFrom(other, read);
  other.tier.used(used);
  assert.ok(await other.tier.flush(5_000));
  clock.shift(20 * day);
  await rig.tier.sweep();
  assert.deepEqual([there(read), there(used), there(unused)], [true, true, false]);
  clock.shift(20 * day);
  await rig.tier.sweep();
  assert.deepEqual([there(read), there(used)], [false, false]);
});

test("what a tag names stays, through its index, its manifests and all their blobs", async (t) => {
  const { rig, clock, store, image, manifest, tag, there } = await bench(t);
  const [layer, config, otherLayer, loose] = [store(), store(), store(), store()];
  const amd64 = image(config, layer);
  const arm64 = image(otherLayer);
  const never = sampleDigest(Buffer.from("a platform that nobody pulled"));
  const type = "application/vnd.oci.image.manifest.v1+json";
  const index = manifest({
    schemaVersion: 2,
    manifests: [amd64, never, arm64].map((digest) => descriptor(digest, type)),
  });
  const outer = manifest({
    schemaVersion: 2,
    manifests: [descriptor(index, "application/vnd.oci.image.index.v1+json")],
  });
  await tag("latest", outer);
  clock.shift(31 * day);
  await rig.tier.sweep();
  for (const digest of [outer, index, amd64, arm64, layer, config, otherLayer]) assert.ok(there(digest));
  assert.ok(!there(loose));
  await rig.tier.records.remove({ repository, kind: "tag", name: "latest" });
  assert.ok(await rig.tier.flush(5_000));
  await rig.tier.sweep();
  assert.equal(rig.tier.usage()?.objects, 0);
});

test("a tag that moves back to something old while the sweep runs keeps it", async (t) => {
  const { rig, clock, store, image, tag, there, double } = await bench(t);
  const layer = store();
  const old = image(layer);
  for (const [key, object] of double.objects)
    double.objects.set(key, { ...object, modifiedAt: clock.now() - 31 * day });
  // The record comes between the look at the tags and the first removal.
  double.faults.push({
    fault: { latencyMs: 300 },
    method: "GET",
    target: /list-type=2.*prefix=test%2Fv1%2Fblobs/,
    times: 1,
  });
  const sweeping = rig.tier.sweep();
  await eventually(() => double.count("GET", /prefix=test%2Fv1%2Frecords/) > 0);
  await tag("latest", old);
  await sweeping;
  assert.ok(there(old) && there(layer));
});

test("where a tag's manifest is missing or wrong, all that is linked beside it stays", async (t) => {
  const { rig, clock, store, image, tag, there, double } = await bench(t);
  const [layer, loose] = [store(), store()];
  for (const spoil of [
    (key: string) => void double.objects.delete(key),
    (key: string) => void double.objects.set(key, { ...double.objects.get(key)!, bytes: Buffer.from("{}") }),
  ]) {
    const digest = image(layer);
    await rig.tier.records.put({ repository, kind: "link", name: layer }, { kind: "blob", access: "linked" });
    await tag("latest", digest);
    spoil(keyOf(digest));
    clock.shift(31 * day);
    await rig.tier.sweep();
    assert.ok(there(layer));
  }
  assert.ok(!there(loose));
});

for (const [what, target] of [
  ["a tag record", /_tags\/latest/],
  ["a manifest", /^test\/v1\/blobs\/sha256\//],
  ["the notes of use", /v1\/used\/.*\?/],
  ["the list of records", /prefix=test%2Fv1%2Frecords/],
] as const)
  test(`when ${what} can't be read, nothing goes`, async (t) => {
    const { rig, clock, store, image, tag, there, double } = await bench(t);
    const [layer, loose] = [store(), store()];
    await tag("latest", image(layer));
    clock.shift(31 * day);
    rig.tier.used(layer);
    double.faults.push({ fault: { status: 403, code: "AccessDenied" }, method: "GET", target });
    await assert.rejects(rig.tier.sweep(), /AccessDenied/);
    assert.ok(there(layer) && there(loose));
  });

test("uploads in parts that a crash left are aborted after an hour, living ones and those of others are not", async (t) => {
  const { rig, clock, double } = await bench(t);
  const metadata = {};
  const begin = (key: string, partAgoMs: number): string => {
    const id = `upload-${double.uploads.size}-of-${createHash("sha256").update(key).digest("hex").slice(0, 8)}`;
    const startedAt = clock.now() - 2 * limits.abandonedMs;
    const part = { bytes: Buffer.from("part"), modifiedAt: clock.now() - partAgoMs };
    double.uploads.set(id, { key, metadata, startedAt, parts: new Map([[1, part]]) });
    return id;
  };
  const left = begin("test/v1/blobs/sha256/aa/aa", limits.abandonedMs * 1.5);
  const slow = begin("test/v1/blobs/sha256/bb/bb", limits.abandonedMs / 2);
  const foreign = begin("other/v1/blobs/sha256/aa/aa", limits.abandonedMs * 1.5);
  await rig.tier.sweep();
  assert.deepEqual(
    [left, slow, foreign].map((id) => double.uploads.has(id)),
    [false, true, true],
  );
});

test("both rounds run by themselves, under the lock that they are given", async (t) => {
  const held: string[] = [];
  const exclusively = async (name: string, run: () => Promise<void>): Promise<void> => {
    held.push(name);
    if (name === "s3-tidy") await run();
  };
  const { clock, store, there } = await bench(t, { exclusively });
  const blob = store();
  clock.jump(31 * day);
  await eventually(() => held.includes("s3-expire"));
  assert.equal(held[0], "s3-tidy");
  assert.ok(there(blob), "another node had the lock");
  clock.jump(limits.sweepEveryMs);
  await eventually(() => held.filter((name) => name === "s3-tidy").length > 1);
  assert.equal(held.filter((name) => name === "s3-expire").length, 1, "once a day");
});

test("lists that are not checked any more go", async (t) => {
  const { rig, clock, tag, image, store } = await bench(t);
  const list = { repository, kind: "list" as const, name: "tags?n=100" };
  await rig.tier.records.put(list, { checkedAt: 1 });
  await tag("latest", image(store()));
  clock.shift(limits.listKeptMs + day);
  await rig.tier.sweep();
  assert.equal(await rig.tier.records.get(list), undefined);
  assert.ok(await rig.tier.records.get({ repository, kind: "tag", name: "latest" }));
});
