import assert from "node:assert/strict";
import { test } from "node:test";

import { down, repositoryA, testCache } from "@pullring/testkit";
import { PullringError } from "./errors.ts";
import { limits } from "./limits.ts";
import type { Body } from "./ports.ts";

const client = "192.0.2.1";
const order = (digest: Parameters<ReturnType<typeof testCache>["cache"]["blobs"]["open"]>[0]["digest"]) => ({
  repository: repositoryA,
  digest,
  client,
});

async function readAll(body: Body): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for (let offset = 0; offset < body.size;) {
    const segment = await body.next(offset, body.size);
    assert.ok("bytes" in segment);
    parts.push(segment.bytes);
    offset += segment.bytes.length;
  }
  body.close();
  return Buffer.concat(parts);
}

test("100 cold clients of one blob cost one GET, and all have the bytes", async () => {
  const { cache, upstream } = testCache();
  const bytes = Buffer.alloc(3_000_000, "pullring");
  const digest = upstream.put(repositoryA, bytes);
  const opened = await Promise.all(Array.from({ length: 100 }, () => cache.blobs.open(order(digest))));
  for (const { body } of opened) assert.ok((await readAll(body)).equals(bytes));
  assert.equal(upstream.count("blob_get"), 1);
  assert.equal(opened.filter(({ joined }) => joined).length, 99);
});

test("once filled a blob is served without upstream", async () => {
  const { cache, upstream } = testCache();
  const digest = upstream.put(repositoryA, "layer");
  await readAll((await cache.blobs.open(order(digest))).body);
  await cache.fills.settled();
  upstream.before = down;
  const { tier, body } = await cache.blobs.open(order(digest));
  assert.equal(tier, "disk");
  assert.equal((await readAll(body)).toString(), "layer");
  assert.equal((await cache.blobs.stat(repositoryA, digest)).size, 5);
});

test("what upstream does not have is not asked for again for ten seconds", async () => {
  const { cache, upstream, clock } = testCache();
  const { digest } = { digest: `sha256:${"d".repeat(64)}` as ReturnType<typeof upstream.put> };
  for (let round = 0; round < 3; round += 1) await assert.rejects(cache.blobs.open(order(digest)), { code: "missing" });
  assert.equal(upstream.count("blob_get"), 1);
  await clock.advance(limits.negativeMs);
  await assert.rejects(cache.blobs.open(order(digest)), { code: "missing" });
  assert.equal(upstream.count("blob_get"), 2);
});

test("a failure of upstream is not remembered", async () => {
  const { cache, upstream } = testCache();
  const digest = upstream.put(repositoryA, "layer");
  upstream.before = down;
  await assert.rejects(cache.blobs.open(order(digest)), { code: "unavailable" });
  upstream.before = () => {};
  assert.equal((await readAll((await cache.blobs.open(order(digest))).body)).toString(), "layer");
});

test("wrong bytes put the digest in quarantine for that upstream, and it is told", async () => {
  const { cache, upstream, clock, events } = testCache();
  const digest = upstream.put(repositoryA, "layer");
  const get = upstream.blobs.get.bind(upstream.blobs);
  upstream.blobs.get = (request, sink) =>
    get(request, { ...sink, head: (head) => sink.head(head), write: () => sink.write(Buffer.from("wrong")) });
  await assert.rejects(cache.blobs.open(order(digest)), { code: "corrupt" });
  await cache.fills.settled();
  assert.ok(events.some(({ kind }) => kind === "mismatch"));
  upstream.blobs.get = get;
  await assert.rejects(cache.blobs.open(order(digest)), { code: "unavailable" });
  assert.equal(upstream.count("blob_get"), 1);
  await clock.advance(limits.quarantineMs);
  assert.equal((await readAll((await cache.blobs.open(order(digest))).body)).toString(), "layer");
});

test("after a body was cut a resume gets an error for ten seconds; a new pull goes on with the spool", async () => {
  const { cache, upstream, clock } = testCache();
  const bytes = Buffer.alloc(2_000_000, "x");
  const digest = upstream.put(repositoryA, bytes);
  const get = upstream.blobs.get.bind(upstream.blobs);
  upstream.blobs.get = async ({ offset }, sink) => {
    sink.head({ lane: upstream.lanes(repositoryA), offset, size: bytes.length, resumable: true });
    await sink.write(bytes.subarray(offset, 1_000_000));
    throw new PullringError("cut", "the body ended early");
  };
  const { body } = await cache.blobs.open(order(digest));
  const reading = assert.rejects(readAll(body), { code: "cut" });
  await clock.advance(2_000);
  await reading;
  body.close();
  await assert.rejects(cache.blobs.open({ ...order(digest), resumes: true }), { code: "unavailable" });
  let asked = -1;
  upstream.blobs.get = (request, sink) => {
    asked = request.offset;
    return get(request, sink);
  };
  assert.ok((await readAll((await cache.blobs.open(order(digest))).body)).equals(bytes));
  assert.equal(asked, 999_999);
});

test("a client's HEAD costs no GET", async () => {
  const { cache, upstream } = testCache();
  const digest = upstream.put(repositoryA, "layer");
  assert.deepEqual(await cache.blobs.stat(repositoryA, digest), { size: 5, tier: "upstream" });
  assert.deepEqual(await cache.blobs.stat(repositoryA, digest), { size: 5, tier: "disk" });
  assert.deepEqual(upstream.requests, [`blob_head docker.io/acme/a@${digest}`]);
});

test("a client has its share of the fills; the next one waits, and beyond the queue it is busy", async () => {
  const { cache, upstream } = testCache();
  const gate = Promise.withResolvers<void>();
  upstream.before = () => gate.promise;
  const digests = Array.from({ length: limits.fillsPerClientMax + 1 }, (_, index) =>
    upstream.put(repositoryA, `blob ${index}`),
  );
  const opening = digests.map((digest) => cache.blobs.open(order(digest)));
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(upstream.count("blob_get"), limits.fillsPerClientMax);
  assert.deepEqual(cache.gate.counts(), { running: limits.fillsPerClientMax, queued: 1 });
  gate.resolve();
  for (const { body } of await Promise.all(opening)) body.close();
});
