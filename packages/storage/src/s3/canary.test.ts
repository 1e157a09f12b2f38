import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import { GetObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { hasCode } from "@pullring/core";
import {
  eventually,
  jumpingClock,
  memoryBlobStore,
  sampleBytes,
  sampleDigest,
  startS3Double,
  type S3Knobs,
} from "@pullring/testkit";

import { streamOf } from "./file-stream.ts";
import { limits } from "./limits.ts";
import type { S3Options } from "./s3.ts";
import { openTier, readFrom } from "./test-tier.ts";

const bytes = sampleBytes(1_000);
const digest = sampleDigest(bytes);

interface BenchOptions {
  readonly knobs?: Partial<S3Knobs>;
  readonly credentials?: S3Options["credentials"];
}

async function bench(t: TestContext, { knobs = {}, credentials }: BenchOptions = {}) {
  const double = await startS3Double(knobs);
  t.after(() => double.close());
  const clock = jumpingClock();
  const store = memoryBlobStore();
  store.held.set(digest, { bytes, access: "public" });
  const open = () => openTier({ endpoint: double.endpoint, local: store, clock, ...(credentials && { credentials }) });
  return { double, clock, store, open };
}

test("a service that does all we want is said to, and nothing stays of the trial", async (t) => {
  const { open, double } = await bench(t);
  const { tier } = await open();
  assert.match(tier.degraded() ?? "", /has not answered yet/);
  const capabilities = await eventually(() => tier.capabilities());
  const all = { ranges: true, conditionalPut: "honoured", multipart: true, conditionalComplete: "honoured" };
  assert.deepEqual(capabilities, all);
  assert.equal(tier.degraded(), undefined);
  assert.deepEqual([double.objects.size, double.uploads.size], [0, 0]);
});

test("what a service can't do is named", async (t) => {
  const { open } = await bench(t, { knobs: { ranges: false, parts: false, conditions: "ignored" } });
  const { tier } = await open();
  const capabilities = await eventually(() => tier.capabilities());
  const none = { ranges: false, conditionalPut: "ignored", multipart: false, conditionalComplete: "refused" };
  assert.deepEqual(capabilities, none);
});

test("a service that gives back other bytes gets no blob and is asked for none", async (t) => {
  const { open, double } = await bench(t);
  double.faults.push({ fault: "corrupt", method: "GET" });
  const { tier, logged } = await open();
  await eventually(() => tier.degraded()?.includes("gives back 300000 bytes that are not the 300000 stored"));
  assert.ok(logged.some((line) => line.includes("not in use")));
  tier.blobs.upload(digest);
  const asked = double.requests.length;
  await assert.rejects(readFrom({ tier } as never, digest), (error) => hasCode(error, "unavailable"));
  assert.equal(await tier.blobs.stat(digest), undefined);
  assert.equal(await tier.flush(20), false);
  assert.equal(double.requests.length, asked);
  assert.equal(double.objects.size, 0);
});

test("closing in the middle of the trial leaves nothing of it either", async (t) => {
  const { open, double } = await bench(t);
  double.faults.push({ fault: { latencyMs: 100 }, target: /partNumber/ });
  const { tier } = await open();
  await eventually(() => double.uploads.size === 1);
  await tier.close();
  assert.deepEqual([double.objects.size, double.uploads.size], [0, 0]);
});

test("a dead service delays no start, and is used as soon as it lives", async (t) => {
  const { open, double, clock } = await bench(t);
  double.faults.push({ fault: "reset" });
  const started = performance.now();
  const { tier } = await open();
  assert.ok(performance.now() - started < 100);
  tier.blobs.upload(digest);
  await eventually(() => tier.degraded()?.includes("does not answer"));
  double.faults.length = 0;
  clock.jump(limits.canaryRetryMs);
  await eventually(() => tier.capabilities());
  assert.ok(await tier.flush(5_000));
  assert.equal(double.objects.size, 1);
});

test("a bucket that may only be read is read, and the reason is told", async (t) => {
  const { open, double } = await bench(t);
  double.faults.push({ fault: { status: 403, code: "AccessDenied" }, method: "PUT" });
  double.objects.set(`test/v1/blobs/sha256/${digest.slice(7, 9)}/${digest.slice(7)}`, {
    bytes,
    metadata: {},
    modifiedAt: 1,
  });
  const rig = await open();
  await eventually(() => rig.tier.degraded()?.includes("S3 refuses: 403 AccessDenied"));
  assert.ok((await readFrom(rig, digest)).bytes.equals(bytes));
});

test("a secret that changes is used by the next request", async (t) => {
  let secret = "one";
  const credentials = { accessKeyId: "key", secretAccessKey: () => secret };
  const { open, double } = await bench(t, { knobs: { secret: "one" }, credentials });
  const rig = await open();
  await eventually(() => rig.tier.capabilities());
  double.knobs.secret = "two";
  await assert.rejects(readFrom(rig, digest), /SignatureDoesNotMatch/);
  secret = "two";
  await assert.rejects(readFrom(rig, digest), (error) => hasCode(error, "missing"));
});

test("away from AWS nothing is framed, for a service may store the framing", async (t) => {
  const { open, double } = await bench(t, { knobs: { framing: false } });
  const credentials = { accessKeyId: "key", secretAccessKey: "secret" };
  const plain = new S3Client({ endpoint: double.endpoint, region: "us-east-1", forcePathStyle: true, credentials });
  t.after(() => plain.destroy());
  const body = streamOf(
    { size: 1_000, next: (from, to) => ({ bytes: bytes.subarray(from, to) }), close: () => {} },
    0,
    1_000,
    () => {},
  );
  const where = { Bucket: "bucket", Key: "framed" };
  await plain.send(new PutObjectCommand({ ...where, Body: body, ContentLength: 1_000 }));
  const back = await (await plain.send(new GetObjectCommand(where))).Body?.transformToByteArray();
  assert.ok((back?.length ?? 0) > 1_000, "this is what the SDK does by default");
  const { tier } = await open();
  await eventually(() => tier.capabilities());
  tier.blobs.upload(digest);
  assert.ok(await tier.flush(5_000));
  assert.ok([...double.objects.values()].some((object) => object.bytes.equals(bytes)));
});
