import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { eventually } from "@pullring/testkit";

import { pull } from "../real/http.ts";
import { openRaw, type RawExchange } from "./raw.ts";
import { bytesOfBlob, type Rig, startRig } from "./rig.ts";

const MB = 1_000_000;
const MiB = 1024 * 1024;
const blobBytes = 400 * MB;
const clients = 100;
/** What the crowd takes on two cores that nobody else uses, several times. */
const crowdMsMax = 120_000;
const memoryBytes = 16 * MiB;
const growthBytesMax = 96 * MiB;
const tagClients = 300;

let rig: Rig;
before(async () => {
  const tags = { rules: [{ match: "docker.io/*/short:*", fresh: "1s" }] };
  rig = await startRig({ config: { tags, storage: { memory: memoryBytes } } });
});
after(() => rig[Symbol.asyncDispose]());

/** Holds every byte against what it has to be. */
function comparing(expected: Buffer) {
  return (chunk: Buffer, at: number): void => {
    if (!chunk.equals(expected.subarray(at, at + chunk.length))) assert.fail(`other bytes at ${at}`);
  };
}

/** Reads 50 KB a second until the signal ends it. */
function crawl(url: string, expected: Buffer, signal: AbortSignal): RawExchange {
  const [stepMs, readBytes] = [100, 5_000];
  const check = comparing(expected);
  const take = (chunk: Buffer, at: number): boolean => {
    check(chunk, at);
    return false;
  };
  const exchange = openRaw(url, { take, readBytes });
  const go = async (): Promise<void> => {
    for (; !signal.aborted; exchange.resume()) await sleep(stepMs);
    exchange.leave();
  };
  void go();
  return exchange;
}

const blobRequests = (repository: string) => ({
  gets: rig.hub.ledger.count({ repository, kind: ["blob_get", "blob_range"] }),
  bodies: rig.hub.ledger.count({ repository, kind: ["cdn_get", "cdn_range"] }),
});

test(
  `${clients} cold clients of one blob cost one GET; one that stops, one that crawls and one that leaves change nothing`,
  { timeout: crowdMsMax + 30_000 },
  async () => {
    const { hub, pullring } = rig;
    // What threads, pools and compiled code take, they take once.
    const warm = hub.content.addBlob({ repository: "acme/warm", size: 8 * MB });
    await Promise.all(Array.from({ length: 8 }, () => pull(rig.blob("acme/warm", warm.digest))));

    const repository = "acme/crowd";
    const { digest } = hub.content.addBlob({ repository, size: blobBytes });
    const expected = bytesOfBlob(hub, repository, digest);
    const url = rig.blob(repository, digest);
    const take = comparing(expected);
    let isPatient = true;
    const untilTenth = (chunk: Buffer, at: number): boolean => {
      take(chunk, at);
      return !isPatient || at + chunk.length < blobBytes / 10;
    };
    const before = pullring.rssBytes();
    const startedAt = performance.now();
    const done = new AbortController();
    const stops = openRaw(url, { take: untilTenth });
    const crawls = crawl(url, expected, done.signal);
    const leaves = openRaw(url, { take: (chunk, at) => untilTenth(chunk, at) || leaves.leave() });
    const others = Array.from({ length: clients - 3 }, () => openRaw(url, { take }));
    const answers = await Promise.all(others.map(({ answer }) => answer));
    const tookMs = performance.now() - startedAt;
    done.abort();

    const ends = answers.map(({ status, end, bytes }) => `${status} ${end} ${bytes}`);
    assert.deepEqual(new Set(ends), new Set([`200 whole ${blobBytes}`]));
    assert.ok(tookMs < crowdMsMax, `${tookMs} ms`);
    const growth = pullring.rssPeakBytes() - before;
    assert.ok(growth <= memoryBytes + growthBytesMax, `grew by ${Math.round(growth / MiB)} MiB`);

    // The slow ones were left alone: one is far behind, one goes on to its end when it wants to.
    assert.equal((await leaves.answer).end, "left");
    const slow = await crawls.answer;
    assert.ok(slow.end === "left" && slow.bytes > 0 && slow.bytes < blobBytes / 10, `${slow.end} at ${slow.bytes}`);
    isPatient = false;
    stops.resume();
    const { end, bytes } = await stops.answer;
    assert.deepEqual({ end, bytes }, { end: "whole", bytes: blobBytes });
    assert.deepEqual(blobRequests(repository), { gets: 1, bodies: 1 });
  },
);

test("a client that comes in the middle of a fill gets the blob from its first byte, and costs nothing", async () => {
  const { hub } = rig;
  const repository = "acme/late";
  const size = 8 * MB;
  const { digest } = hub.content.addBlob({ repository, size });
  const url = rig.blob(repository, digest);
  const line = hub.faults.add({ repository, kind: "cdn_get" }, { dripBytesPerSec: 8 * MB });
  const first = pull(url);
  await hub.ledger.until(
    ({ kind, bytesSent }) => kind === "cdn_get" && bytesSent > size / 2,
    AbortSignal.timeout(9_000),
  );
  const late = await pull(url);
  assert.equal(line.hits, 1);
  assert.match(String(late.headers["cache-status"]), /collapsed/);
  assert.deepEqual([late.digest, (await first).digest], [digest, digest]);
  assert.deepEqual(blobRequests(repository), { gets: 1, bodies: 1 });
});

test("a fill of which more than half is done goes on when its only client leaves", async () => {
  const { hub } = rig;
  const repository = "acme/left";
  const size = 4 * MB;
  const { digest } = hub.content.addBlob({ repository, size });
  hub.faults.add({ repository, kind: "cdn_get" }, { dripBytesPerSec: 8 * MB });
  const only = openRaw(rig.blob(repository, digest), {
    take: (chunk, at) => at + chunk.length < size / 2 || only.leave(),
  });
  assert.equal((await only.answer).end, "left");
  const { bytesSent } = await hub.ledger.until({ repository, kind: "cdn_get", done: true }, AbortSignal.timeout(9_000));
  assert.equal(bytesSent, size);
  assert.equal((await pull(rig.blob(repository, digest))).digest, digest);
  assert.deepEqual(blobRequests(repository), { gets: 1, bodies: 1 });
});

const tagRequests = (repository: string) => ({
  heads: rig.hub.ledger.count({ repository, kind: "manifest_head" }),
  gets: rig.hub.ledger.count({ repository, kind: "manifest_get" }),
  counted: rig.hub.ledger.count({ repository, counted: true }),
});

const pullTag = (repository: string, tag: string, count: number) =>
  Promise.all(Array.from({ length: count }, () => pull(rig.manifest(repository, tag))));

test(`${tagClients} cold clients of one tag cost one counted GET and at most one HEAD, then nothing while it is fresh`, async () => {
  const repository = "library/long";
  const { digest } = rig.hub.content.addImage({ repository, tag: "1", layers: [1000] });
  const cold = await pullTag(repository, "1", tagClients);
  assert.deepEqual(new Set(cold.map((answer) => `${answer.status} ${answer.digest}`)), new Set([`200 ${digest}`]));
  const spent = tagRequests(repository);
  assert.deepEqual([spent.counted, spent.gets], [1, 1]);
  assert.ok(spent.heads <= 1, `${spent.heads} HEADs`);

  const before = rig.hub.ledger.count();
  const warm = await pullTag(repository, "1", tagClients);
  assert.ok(warm.every((answer) => answer.status === 200 && answer.digest === digest));
  assert.equal(rig.hub.ledger.count(), before);
});

test("a tag past its window costs one HEAD and no GET", async () => {
  const repository = "library/short";
  const { digest } = rig.hub.content.addImage({ repository, tag: "1", layers: [1000] });
  await pullTag(repository, "1", 1);
  const before = tagRequests(repository);
  const pastWindow = performance.now() + 1_000;
  await eventually(() => performance.now() > pastWindow);
  const late = await pullTag(repository, "1", 20);
  assert.ok(late.every((answer) => answer.status === 200 && answer.digest === digest));
  assert.deepEqual(tagRequests(repository), { ...before, heads: before.heads + 1 });
});

test("a client's HEAD of a cold tag costs no GET, and a GET that follows costs one", async () => {
  const repository = "library/asked";
  const { digest, size } = rig.hub.content.addImage({ repository, tag: "1", layers: [1000] });
  const { status, headers } = await pull(rig.manifest(repository, "1"), { method: "HEAD" });
  assert.deepEqual([status, headers["docker-content-digest"], headers["content-length"]], [200, digest, String(size)]);
  assert.deepEqual(tagRequests(repository), { heads: 1, gets: 0, counted: 0 });
  await pullTag(repository, "1", 1);
  assert.deepEqual(tagRequests(repository), { heads: 1, gets: 1, counted: 1 });
});
