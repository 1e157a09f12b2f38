import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import { hasCode, type ErrorCode } from "@pullring/core";
import { algorithmOf, hexOf, type Digest } from "@pullring/oci";
import { eventually, jumpingClock, memoryBlobStore, sampleBytes, sampleDigest, startS3Double } from "@pullring/testkit";

import { limits } from "./limits.ts";
import { openTier, readFrom, repository } from "./test-tier.ts";

const bytes = sampleBytes(300_000);
const digest = sampleDigest(bytes);
const keyOf = (of: Digest): string => `test/v1/blobs/${algorithmOf(of)}/${hexOf(of).slice(0, 2)}/${hexOf(of)}`;

async function bench(t: TestContext) {
  const double = await startS3Double();
  t.after(() => double.close());
  const clock = jumpingClock();
  const rig = await openTier({ endpoint: double.endpoint, local: memoryBlobStore(), clock });
  await eventually(() => rig.tier.capabilities());
  const put = (
    of = digest,
    content = bytes,
    metadata: Record<string, string> = { access: "public", at: "1000" },
  ): void => void double.objects.set(keyOf(of), { bytes: content, metadata, modifiedAt: Date.now() });
  return { double, clock, rig, put };
}

const rejectsWith = (running: Promise<unknown>, code: ErrorCode): Promise<void> =>
  assert.rejects(running, (error) => hasCode(error, code) || assert.fail(String(error)));

test("a blob comes whole, with its size and whose it may be", async (t) => {
  const { rig, put, double } = await bench(t);
  put();
  const whole = await readFrom(rig, digest);
  assert.ok(whole.bytes.equals(bytes));
  const lane = { name: "s3", access: "public" };
  assert.deepEqual(whole.head, { lane, offset: 0, size: bytes.length, resumable: true });
  put(digest, bytes, {});
  assert.equal((await readFrom(rig, digest)).head?.lane.access, "linked", "what nobody called public is not");
  assert.deepEqual(await rig.tier.blobs.stat(digest), { size: bytes.length, access: "linked" });
  assert.deepEqual(rig.outcomes("read"), ["ok", "ok"]);
  assert.ok(double.requests.every(({ headers }) => !String(headers["content-encoding"]).includes("aws-chunked")));
});

test("a read goes on from where another ended, and may end early", async (t) => {
  const { rig, put } = await bench(t);
  put();
  const rest = await readFrom(rig, digest, { offset: 123_456 });
  assert.ok(rest.bytes.equals(bytes.subarray(123_456)));
  assert.deepEqual([rest.head?.offset, rest.head?.size], [123_456, bytes.length]);
  const piece = await readFrom(rig, digest, { offset: 10, end: 20 });
  assert.ok(piece.bytes.equals(bytes.subarray(10, 20)));
});

test("where ranges are ignored the head says that bytes begin at 0", async (t) => {
  const { rig, put, double } = await bench(t);
  double.knobs.ranges = false;
  put();
  const rest = await readFrom(rig, digest, { offset: 100 });
  assert.equal(rest.head?.offset, 0);
  assert.ok(rest.bytes.equals(bytes));
});

test("what is not there is missing, and an error is not", async (t) => {
  const { rig, double, put } = await bench(t);
  await rejectsWith(readFrom(rig, digest), "missing");
  assert.equal(await rig.tier.blobs.stat(digest), undefined);
  put();
  double.faults.push({ fault: { status: 403, code: "AccessDenied" }, times: 1 });
  await rejectsWith(readFrom(rig, digest), "unavailable");
  assert.deepEqual(rig.outcomes("read"), ["miss", "failed"]);
  assert.ok((await readFrom(rig, digest)).bytes.equals(bytes), "a refusal does not turn the tier off");
});

test("one slow-down is tried again and nobody notices", async (t) => {
  const { rig, double, put } = await bench(t);
  put();
  double.faults.push({ fault: { status: 503, code: "SlowDown" }, times: 1 });
  assert.ok((await readFrom(rig, digest)).bytes.equals(bytes));
});

test("a body that ends early or stalls is cut, and frees its socket", async (t) => {
  const { rig, double, put, clock } = await bench(t);
  put();
  double.faults.push({ fault: { cutAfterBytes: 50_000 }, times: 1 });
  await rejectsWith(readFrom(rig, digest), "cut");
  double.faults.push({ fault: { stallAfterBytes: 50_000 }, times: 1 });
  let received = 0;
  const stalling = rig.tier.blobs.get(
    { repository, digest, offset: 0 },
    { head: () => {}, write: (chunk) => void (received += chunk.length) },
  );
  const cut = rejectsWith(stalling, "cut");
  await eventually(() => received === 50_000);
  clock.jump(limits.stallMs);
  await cut;
  await eventually(() => rig.tier.socketsInUse() === 0);
  assert.ok((await readFrom(rig, digest)).bytes.equals(bytes));
});

test("a reader that takes its time is not taken for a stall", async (t) => {
  const { rig, put, clock } = await bench(t);
  put();
  const chunks: Buffer[] = [];
  let held = 0;
  await rig.tier.blobs.get(
    { repository, digest, offset: 0 },
    {
      head: () => {},
      async write(chunk) {
        chunks.push(Buffer.from(chunk));
        if (held++ === 0) clock.jump(limits.stallMs * 3);
        await new Promise(setImmediate);
      },
    },
  );
  assert.ok(Buffer.concat(chunks).equals(bytes));
});

test("what the reader throws is his, and frees the socket", async (t) => {
  const { rig, put } = await bench(t);
  put();
  const refusal = new Error("not this one");
  const head = (): never => {
    throw refusal;
  };
  const write = async (): Promise<never> => Promise.reject(refusal);
  const request = { repository, digest, offset: 0 };
  await assert.rejects(rig.tier.blobs.get(request, { head, write }), refusal);
  await assert.rejects(rig.tier.blobs.get(request, { head: () => {}, write }), refusal);
  const given = new AbortController();
  const leaving = rig.tier.blobs.get(
    { ...request, signal: given.signal },
    { head: () => given.abort(refusal), write: () => {} },
  );
  await assert.rejects(leaving, refusal);
  await eventually(() => rig.tier.socketsInUse() === 0);
});

test("no number of failed reads uses up the connections", async (t) => {
  const { rig, double, put } = await bench(t);
  put();
  for (let round = 0; round < limits.socketsMax * 2; round += 1) {
    const head = (): never => {
      throw new Error("enough");
    };
    await assert.rejects(rig.tier.blobs.get({ repository, digest, offset: 0 }, { head, write: () => {} }));
  }
  assert.ok((await readFrom(rig, digest)).bytes.equals(bytes));
  assert.ok((await double.connections()) < 10);
});

test("wrong bytes are not asked for again for ten minutes, by any name", async (t) => {
  const { rig, double, put, clock } = await bench(t);
  put();
  rig.tier.blobs.quarantine(digest);
  const asked = double.requests.length;
  await rejectsWith(readFrom(rig, digest), "missing");
  assert.equal(await rig.tier.blobs.stat(digest), undefined);
  assert.equal(double.requests.length, asked);
  assert.ok(rig.outcomes("read").includes("mismatch"));
  clock.jump(limits.quarantineMs);
  assert.ok((await readFrom(rig, digest)).bytes.equals(bytes));
});

test("a silent service costs one miss two seconds, the next ones nothing", async (t) => {
  const { rig, double, put, clock } = await bench(t);
  put();
  double.faults.push({ fault: "silence" });
  const first = rejectsWith(readFrom(rig, digest), "unavailable");
  clock.jump(limits.firstByteMs);
  await first;
  assert.match(rig.tier.degraded() ?? "", /no answer/);
  const started = performance.now();
  for (let misses = 0; misses < 20; misses += 1) await rejectsWith(readFrom(rig, digest), "unavailable");
  assert.ok(performance.now() - started < 100);
});

test("three errors in a row turn the reads away, and they are back as soon as the service answers", async (t) => {
  const { rig, double, put } = await bench(t);
  put();
  double.faults.push({ fault: { status: 500, code: "InternalError" } });
  await rejectsWith(readFrom(rig, digest), "unavailable");
  await rejectsWith(readFrom(rig, digest), "unavailable");
  const asked = double.count("GET");
  await rejectsWith(readFrom(rig, digest), "unavailable");
  assert.equal(double.count("GET"), asked, "not asked any more");
  double.faults.length = 0;
  const started = performance.now();
  await eventually(() => rig.tier.degraded() === undefined);
  assert.ok(performance.now() - started < 5_000);
  assert.ok((await readFrom(rig, digest)).bytes.equals(bytes));
});

test("a purged blob that lies there still is not served", async (t) => {
  const { rig, put } = await bench(t);
  put(digest, bytes, { access: "public", at: "1000" });
  rig.tier.tombstones.put(digest, 1_000);
  await rejectsWith(readFrom(rig, digest), "missing");
  assert.equal(await rig.tier.blobs.stat(digest), undefined);
  put(digest, bytes, { access: "public", at: "1001" });
  assert.ok((await readFrom(rig, digest)).bytes.equals(bytes), "what was had afterwards is");
});

test("a blob that is to go goes, and a service that keeps it is an error", async (t) => {
  const { rig, put, double } = await bench(t);
  put();
  await rig.tier.blobs.remove(digest);
  assert.ok(!double.objects.has(keyOf(digest)));
  await rig.tier.blobs.remove(digest);
  double.faults.push({ fault: { status: 403, code: "AccessDenied" }, method: "DELETE" });
  await rejectsWith(rig.tier.blobs.remove(digest), "unavailable");
});
