import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import type { RecordKey } from "@pullring/core";
import {
  eventually,
  jumpingClock,
  memoryBlobStore,
  memoryRecords,
  recordStoreSuite,
  startS3Double,
  trickyKeys,
} from "@pullring/testkit";

import { limits } from "./limits.ts";
import { formatRecord } from "./record-text.ts";
import { withSharedRecords } from "./shared-records.ts";
import { openTier, repository } from "./test-tier.ts";

async function bench(t: TestContext) {
  const double = await startS3Double();
  t.after(() => double.close());
  const clock = jumpingClock();
  const open = () => openTier({ endpoint: double.endpoint, local: memoryBlobStore(), clock });
  const node = async () => {
    const { tier, logged } = await open();
    await eventually(() => tier.capabilities());
    return { tier, logged, records: tier.records, written: () => tier.flush(10_000) };
  };
  return { double, clock, node };
}

const latest: RecordKey = { repository, kind: "tag", name: "latest" };
const link: RecordKey = { repository, kind: "link", name: `sha256:${"a".repeat(64)}` };
const latestObject = "test/v1/records/docker.io/library/alpine/_tags/latest.json";

recordStoreSuite({
  name: "S3",
  async open() {
    const double = await startS3Double();
    const { tier } = await openTier({ endpoint: double.endpoint, local: memoryBlobStore(), clock: jumpingClock() });
    const close = async (): Promise<void> => {
      await tier.close();
      await double.close();
    };
    return { records: tier.records, close };
  },
});

recordStoreSuite({
  name: "this node's before those in S3",
  async open() {
    const double = await startS3Double();
    const clock = jumpingClock();
    const { tier } = await openTier({ endpoint: double.endpoint, local: memoryBlobStore(), clock });
    const close = async (): Promise<void> => {
      await tier.close();
      await double.close();
    };
    return { records: withSharedRecords(memoryRecords(), tier.records, clock), close };
  },
});

test("what one node wrote another reads, whatever the keys contain", async (t) => {
  const { node } = await bench(t);
  const [here, there] = [await node(), await node()];
  for (const [index, key] of trickyKeys.entries()) await here.records.put(key, { index });
  assert.ok(await here.written());
  for (const [index, key] of trickyKeys.entries()) assert.deepEqual(await there.records.get(key), { index });
  for (const key of trickyKeys) await there.records.remove(key);
  assert.ok(await there.written());
  const third = await node();
  for (const key of trickyKeys) assert.equal(await third.records.get(key), undefined);
});

test("a record with a bit turned in S3 is no record, whichever bit it is", async (t) => {
  const { double, node } = await bench(t);
  const [here, there] = [await node(), await node()];
  await here.records.put(latest, { digest: `sha256:${"b".repeat(64)}`, checkedAt: 1_700_000_000_000 });
  assert.ok(await here.written());
  const whole = double.objects.get(latestObject)!;
  for (let at = 0; at < whole.bytes.length; at += 1) {
    const bytes = Buffer.from(whole.bytes);
    bytes[at]! ^= 1;
    double.objects.set(latestObject, { ...whole, bytes });
    assert.equal(await there.records.get(latest), undefined, `${at}: ${bytes.toString()}`);
  }
});

test("names of objects are bounded and stay under the prefix", async (t) => {
  const { double, node } = await bench(t);
  const here = await node();
  const deep = { upstream: "é".repeat(40), name: Array.from({ length: 60 }, () => "éé").join("/") };
  for (const key of [...trickyKeys, { repository: deep, kind: "tag" as const, name: "x" }])
    await here.records.put(key, 1);
  assert.ok(await here.written());
  for (const key of double.objects.keys()) {
    assert.ok(key.startsWith("test/v1/records/") && Buffer.byteLength(key) <= 1_024, key);
    assert.ok(
      key.split("/").every((part) => part !== "" && part !== "." && part !== ".."),
      key,
    );
  }
});

test("a link goes up once; a tag when it changes, and once an hour else", async (t) => {
  const { double, clock, node } = await bench(t);
  const here = await node();
  const puts = (): number => double.count("PUT", /records/);
  for (let n = 0; n < 3; n += 1) {
    await here.records.put(link, { kind: "blob", access: "linked" });
    await here.records.put(latest, { digest: "sha256:a", checkedAt: n });
    assert.ok(await here.written());
  }
  assert.equal(puts(), 2);
  await here.records.put(latest, { digest: "sha256:b", checkedAt: 3 });
  assert.ok(await here.written());
  assert.equal(puts(), 3);
  clock.jump(limits.tagRewriteMs);
  await here.records.put(latest, { digest: "sha256:b", checkedAt: 4 });
  assert.ok(await here.written());
  assert.equal(puts(), 4);
});

test("an older tag never replaces a newer", async (t) => {
  const { node } = await bench(t);
  const [here, there] = [await node(), await node()];
  await here.records.put(latest, { digest: "sha256:new", checkedAt: 2_000 });
  assert.ok(await here.written());
  await there.records.put(latest, { digest: "sha256:old", checkedAt: 1_000 });
  assert.ok(await there.written());
  assert.deepEqual(await (await node()).records.get(latest), { digest: "sha256:new", checkedAt: 2_000 });
});

test("what is torn, or another's, reads as absent", async (t) => {
  const { double, node } = await bench(t);
  const other = { repository: { ...repository, name: "other" }, kind: "tag", name: "latest" } as const;
  for (const text of ["{", "", "null", formatRecord({ key: other, value: 1 })]) {
    double.objects.set(latestObject, { bytes: Buffer.from(text), metadata: {}, modifiedAt: 1 });
    assert.equal(await (await node()).records.get(latest), undefined, text);
  }
});

test("an absence is remembered for ten seconds, an error is not", async (t) => {
  const { double, clock, node } = await bench(t);
  const { records, logged } = await node();
  double.faults.push({ fault: { status: 500, code: "InternalError" }, times: 1 });
  assert.equal(await records.get(latest), undefined);
  assert.ok(logged.some((line) => line.includes("can't be read")));
  for (let times = 0; times < 3; times += 1) assert.equal(await records.get(latest), undefined);
  assert.equal(double.count("GET", /records/), 2);
  const text = formatRecord({ key: latest, value: 1 });
  double.objects.set(latestObject, { bytes: Buffer.from(text), metadata: {}, modifiedAt: 1 });
  clock.jump(limits.absentMs);
  assert.equal(await records.get(latest), 1);
});

test("a slow service holds a record up for half a second at most", async (t) => {
  const { double, clock, node } = await bench(t);
  const { records } = await node();
  double.faults.push({ fault: "silence", times: 1 });
  const reading = records.get(latest);
  clock.jump(limits.recordReadMs);
  assert.equal(await reading, undefined);
});

test("what was written while the service was away is there when it is back", async (t) => {
  const { double, node } = await bench(t);
  const { records, written } = await node();
  double.faults.push({ fault: { status: 503, code: "SlowDown" } });
  await records.put(latest, { digest: "sha256:a", checkedAt: 1 });
  await eventually(() => double.requests.some(({ status }) => status === 503));
  assert.deepEqual(await records.get(latest), { digest: "sha256:a", checkedAt: 1 }, "and this node knows it meanwhile");
  double.faults.length = 0;
  assert.ok(await written());
  assert.ok(double.objects.has(latestObject));
});

test("a node takes what it lacks from the others, and keeps it", async (t) => {
  const { double, clock, node } = await bench(t);
  const [here, there] = [await node(), await node()];
  await here.records.put(latest, { digest: "sha256:a", checkedAt: 1 });
  assert.ok(await here.written());
  const local = memoryRecords();
  const both = withSharedRecords(local, there.records, clock);
  assert.deepEqual(await both.get(latest), { digest: "sha256:a", checkedAt: 1 });
  assert.deepEqual(await local.get(latest), { digest: "sha256:a", checkedAt: 1 });
  double.faults.push({ fault: "reset" });
  assert.deepEqual(await both.get(latest), { digest: "sha256:a", checkedAt: 1 });
  assert.equal(await both.get(link), undefined);
});

test("of a tag that was checked long ago the newer one counts, and a young one is not compared", async (t) => {
  const { clock } = await bench(t);
  const [local, shared] = [memoryRecords(), memoryRecords()];
  let looks = 0;
  const counted = { ...shared, get: (key: RecordKey) => ((looks += 1), shared.get(key)) };
  const both = withSharedRecords(local, counted, clock);
  const record = (digest: string, agoMs: number) => ({ digest, checkedAt: clock.now() - agoMs });
  const young = record("sha256:young", 1_000);
  await local.put(latest, young);
  assert.deepEqual(await both.get(latest), young);
  assert.equal(looks, 0);

  const old = record("sha256:old", limits.sharedLookFromMs * 2);
  await local.put(latest, old);
  await shared.put(latest, record("sha256:older", limits.sharedLookFromMs * 3));
  assert.deepEqual(await both.get(latest), old, "an older one never replaces it");
  assert.deepEqual(await both.get(latest), old);
  assert.equal(looks, 1, "compared once a minute");
  clock.jump(limits.sharedLookEveryMs);
  const newer = record("sha256:newer", 0);
  await shared.put(latest, newer);
  assert.deepEqual(await both.get(latest), newer);
  assert.deepEqual(await local.get(latest), newer);
});

test("a purge removes a repository's records, what waits to be written too, and another node writes what it fetches again", async (t) => {
  const { double, node } = await bench(t);
  const [mine, other] = [await node(), await node()];
  const tag = { digest: "d", checkedAt: 1 };
  await other.records.put(latest, tag);
  await other.records.put(link, { kind: "blob" });
  await other.written();
  const elsewhere = { ...latest, repository: { upstream: "docker.io", name: "library/alpine/sub" } };
  await mine.records.put(elsewhere, tag);
  await mine.written();
  await mine.records.put({ ...latest, name: "waiting" }, tag);
  await mine.tier.purgeRecords(repository, Date.now());
  await mine.written();
  const left = (): string[] => [...double.objects.keys()].filter((key) => key.includes("/records/"));
  assert.deepEqual(left(), ["test/v1/records/docker.io/library/alpine/sub/_tags/latest.json"]);
  other.records.forget(repository);
  await other.records.put(latest, { ...tag, checkedAt: 2 });
  await other.written();
  assert.ok(left().includes(latestObject));
});
