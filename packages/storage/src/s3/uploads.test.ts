import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import type { Access } from "@pullring/core";
import { algorithmOf, hexOf, type Digest } from "@pullring/oci";
import {
  eventually,
  jumpingClock,
  memoryBlobStore,
  sampleBytes,
  sampleDigest,
  startS3Double,
  type S3Knobs,
} from "@pullring/testkit";

import { limits } from "./limits.ts";
import { spans } from "./put-blob.ts";
import { openTier } from "./test-tier.ts";

const MiB = 1024 * 1024;
const keyOf = (of: Digest): string => `test/v1/blobs/${algorithmOf(of)}/${hexOf(of).slice(0, 2)}/${hexOf(of)}`;

async function bench(t: TestContext, { knobs = {} }: { readonly knobs?: Partial<S3Knobs> } = {}) {
  const double = await startS3Double(knobs);
  t.after(() => double.close());
  const clock = jumpingClock();
  const store = memoryBlobStore();
  const rig = await openTier({ endpoint: double.endpoint, local: store, clock });
  const hold = (size: number, access: Access = "public", seed = 1): Digest => {
    const bytes = sampleBytes(size, seed);
    const digest = sampleDigest(bytes);
    store.held.set(digest, { bytes, access });
    return digest;
  };
  await eventually(() => rig.tier.capabilities() ?? rig.tier.degraded()?.startsWith("S3 is not used"));
  const upload = async (digest: Digest): Promise<void> => {
    rig.tier.blobs.upload(digest);
    assert.ok(await rig.tier.flush(20_000));
  };
  const there = (digest: Digest): boolean =>
    double.objects.get(keyOf(digest))?.bytes.equals(store.held.get(digest)!.bytes) ?? false;
  return { double, clock, store, rig, hold, upload, there };
}

test("a blob is stored with its sum, its length and whose it may be", async (t) => {
  const { double, rig, hold, upload, there } = await bench(t);
  const digest = hold(100_000, "linked");
  await upload(digest);
  assert.ok(there(digest));
  assert.equal(double.objects.get(keyOf(digest))?.metadata["access"], "linked");
  const { headers } = double.requests.find(
    ({ method, target }) => method === "PUT" && target.startsWith(keyOf(digest)),
  )!;
  assert.equal(headers["if-none-match"], "*");
  assert.equal(headers["x-amz-checksum-sha256"], Buffer.from(hexOf(digest), "hex").toString("base64"));
  assert.equal(headers["content-length"], "100000");
  assert.deepEqual(rig.outcomes("upload"), ["ok"]);
  const empty = hold(0);
  await upload(empty);
  assert.ok(there(empty));
});

test("bytes that are there do not travel again", async (t) => {
  const { double, rig, hold, upload } = await bench(t);
  const digest = hold(1_000);
  await upload(digest);
  const puts = double.count("PUT");
  await upload(digest);
  assert.equal(double.count("PUT"), puts);
  assert.deepEqual(rig.outcomes("upload"), ["ok", "present"]);
});

test("who comes second finds the blob stored, and that is a success", async (t) => {
  const { double, rig, hold, upload, there } = await bench(t);
  const digest = hold(1_000);
  // Not there when it is looked for, there when it is written.
  double.faults.push({ fault: { status: 404, code: "NoSuchKey" }, method: "HEAD", times: 1 });
  double.objects.set(keyOf(digest), { bytes: sampleBytes(1_000), metadata: { access: "public" }, modifiedAt: 1 });
  await upload(digest);
  assert.ok(there(digest));
  assert.deepEqual(rig.outcomes("upload"), ["present"]);
});

for (const conditions of ["ignored", "refused"] as const)
  test(`a service by which conditions are ${conditions} stores the same bytes`, async (t) => {
    const { rig, hold, upload, there } = await bench(t, { knobs: { conditions } });
    assert.equal(rig.tier.capabilities()?.conditionalPut, conditions);
    assert.equal(rig.tier.capabilities()?.conditionalComplete, conditions);
    const [small, large] = [hold(1_000), hold(65 * MiB, "public", 2)];
    await upload(small);
    await upload(large);
    assert.ok(there(small) && there(large));
  });

test("something else under a blob's name is replaced", async (t) => {
  const { double, hold, upload, there } = await bench(t);
  const digest = hold(1_000);
  double.objects.set(keyOf(digest), { bytes: Buffer.from("half"), metadata: {}, modifiedAt: 1 });
  await upload(digest);
  assert.ok(there(digest));
});

test("wrong bytes of the right length are replaced once they were noticed", async (t) => {
  const { double, rig, hold, upload, there } = await bench(t);
  const digest = hold(1_000);
  double.objects.set(keyOf(digest), { bytes: Buffer.alloc(1_000), metadata: { access: "public" }, modifiedAt: 1 });
  rig.tier.blobs.quarantine(digest);
  await upload(digest);
  assert.ok(there(digest));
});

test("a blob that has become public is public there too, and stays so", async (t) => {
  const { double, store, hold, upload } = await bench(t);
  const digest = hold(1_000, "linked");
  const access = (): string | undefined => double.objects.get(keyOf(digest))?.metadata["access"];
  await upload(digest);
  assert.equal(access(), "linked");
  store.held.set(digest, { ...store.held.get(digest)!, access: "public" });
  await upload(digest);
  assert.equal(access(), "public");
  store.held.set(digest, { ...store.held.get(digest)!, access: "linked" });
  await upload(digest);
  assert.equal(access(), "public");
});

test("a large blob goes up in parts, few at a time", async (t) => {
  const { double, hold, upload, there } = await bench(t);
  const digest = hold(70 * MiB);
  await upload(digest);
  assert.ok(there(digest));
  const parts = double.requests.filter(
    ({ target }) => target.includes("partNumber") && target.startsWith(keyOf(digest)),
  );
  assert.deepEqual(
    parts.map(({ headers }) => Number(headers["content-length"])).sort((a, b) => a - b),
    [6 * MiB, 16 * MiB, 16 * MiB, 16 * MiB, 16 * MiB],
  );
  assert.equal(double.uploads.size, 0);
});

test("parts are as few as the service takes and as large as it wants", () => {
  for (const size of [limits.singlePutBytesMax + 1, 10 * 1024 ** 3, 160 * 1024 ** 3, 400 * 1024 ** 3]) {
    const all = spans(size);
    assert.ok(all.length <= limits.partsMax);
    assert.equal(
      all.reduce((sum, { start, end }) => sum + end - start, 0),
      size,
    );
    assert.ok(all.every(({ start }, index) => start === (all[index - 1]?.end ?? 0)));
    assert.ok(all.every(({ start, end }) => end - start <= limits.partBytesMax));
    assert.ok(all.slice(0, -1).every(({ start, end }) => end - start >= limits.partBytesMin));
  }
});

for (const [what, fault] of [
  ["busy", { status: 503, code: "SlowDown" }],
  ["in conflict", { status: 409, code: "ConditionalRequestConflict" }],
  ["reset", "reset"],
  ["unheard", "lost_answer"],
] as const)
  test(`a PUT that is ${what} twice is tried again`, async (t) => {
    const { double, rig, hold, upload, there } = await bench(t);
    const digest = hold(1_000);
    double.faults.push({ fault, method: "PUT", times: 2 });
    await upload(digest);
    assert.ok(there(digest));
    assert.ok(["ok", "present"].includes(rig.outcomes("upload")[0] ?? ""));
  });

test("a completion in conflict begins the upload again", async (t) => {
  const { double, hold, upload, there } = await bench(t);
  const digest = hold(65 * MiB);
  double.faults.push({
    fault: { status: 409, code: "ConditionalRequestConflict" },
    method: "POST",
    target: /uploadId/,
    times: 1,
  });
  await upload(digest);
  assert.ok(there(digest));
  assert.equal(double.count("POST", new RegExp(`${hexOf(digest)}\\?uploads`)), 2);
  assert.equal(double.uploads.size, 0);
});

test("a completion whose answer was lost is found to be done", async (t) => {
  const { double, rig, hold, upload, there } = await bench(t);
  const digest = hold(65 * MiB);
  double.faults.push({ fault: "lost_answer", method: "POST", target: /uploadId/, times: 1 });
  await upload(digest);
  assert.ok(there(digest));
  assert.deepEqual(rig.outcomes("upload"), ["ok"]);
});

test("an upload in parts that fails leaves no parts and is counted", async (t) => {
  const { double, rig, hold, upload } = await bench(t);
  const digest = hold(65 * MiB);
  double.faults.push({ fault: { status: 403, code: "AccessDenied" }, target: /partNumber=3/ });
  await upload(digest);
  assert.ok(!double.objects.has(keyOf(digest)));
  assert.equal(double.uploads.size, 0);
  assert.deepEqual(rig.outcomes("upload"), ["failed"]);
});

test("a service that knows no parts gets large blobs whole", async (t) => {
  const { rig, hold, upload, there } = await bench(t, { knobs: { parts: false } });
  assert.equal(rig.tier.capabilities()?.multipart, false);
  const digest = hold(65 * MiB);
  await upload(digest);
  assert.ok(there(digest));
});

test("the queue is bounded, what does not fit is counted, and the service gets the rest when it is back", async (t) => {
  const { double, rig, hold, there } = await bench(t);
  double.faults.push({ fault: { status: 503, code: "SlowDown" } });
  const first = hold(10);
  for (let n = 0; n < limits.uploadsQueuedMax + 10; n += 1) rig.tier.blobs.upload(hold(10, "public", n + 2));
  const dropped = rig.outcomes("upload").filter((outcome) => outcome === "dropped").length;
  assert.ok(dropped >= 1 && dropped <= 10, String(dropped));
  assert.ok(rig.tier.pendingUploads() <= limits.uploadsQueuedMax + limits.uploadsAtOnceMax);
  assert.equal(await rig.tier.flush(10), false);
  assert.equal(rig.logged.filter((line) => line.includes("queue of uploads")).length, 1);
  double.faults.length = 0;
  await eventually(() => rig.tier.pendingUploads() === 0, { timeoutMs: 20_000 });
  assert.ok(!there(first));
  assert.equal(
    rig.outcomes("upload").filter((outcome) => outcome === "ok").length,
    limits.uploadsQueuedMax + 10 - dropped,
  );
});

test("what was purged while it waited does not go up, and what is not here any more is no failure", async (t) => {
  const { double, rig, hold, store, clock } = await bench(t);
  double.faults.push({ fault: { status: 503, code: "SlowDown" } });
  const [purged, evicted, busy] = [hold(10), hold(20), hold(30)];
  // So many that the queue waits.
  for (const digest of [busy, purged, evicted]) rig.tier.blobs.upload(digest);
  rig.tier.blobs.upload(hold(40));
  rig.tier.blobs.upload(hold(50));
  const last = hold(60);
  rig.tier.blobs.upload(last);
  rig.tier.tombstones.put(last, clock.now() + 1);
  store.held.delete(hold(50));
  double.faults.length = 0;
  assert.ok(await rig.tier.flush(20_000));
  assert.ok(!double.objects.has(keyOf(last)));
  assert.ok(!rig.outcomes("upload").includes("failed"));
  assert.equal(rig.outcomes("upload").filter((outcome) => outcome === "dropped").length, 1);
});

test("closing gives up what is under way, and says how much that was", async (t) => {
  const { double, rig, hold } = await bench(t);
  double.faults.push({ fault: "silence", method: "PUT", target: /partNumber=2/ });
  rig.tier.blobs.upload(hold(65 * MiB));
  // That the upload was begun is known here only then; what nobody knows of is the janitor's.
  await eventually(() => double.count("PUT", /partNumber=1/) === 1);
  for (let n = 0; n < 5; n += 1) rig.tier.blobs.upload(hold(10 + n));
  await rig.tier.close();
  assert.equal(double.uploads.size, 0, "its parts are given up too");
  assert.ok(rig.outcomes("upload").includes("dropped"));
});
