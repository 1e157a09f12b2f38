import assert from "node:assert/strict";
import { test } from "node:test";

import type { Tag } from "@pullring/oci";
import { down, imageManifest, repositoryA, testCache } from "@pullring/testkit";

import { PullringError } from "./errors.ts";
import { limits } from "./limits.ts";

const latest = "latest" as Tag;
const digest = (digit: string): string => `sha256:${digit.repeat(64)}`;
const mediaType = "application/vnd.oci.image.manifest.v1+json";

function withTag(policy: Parameters<typeof testCache>[0] = {}) {
  const all = testCache(policy);
  const publish = (salt: string) =>
    all.upstream.put(repositoryA, imageManifest(digest("c"), digest("1"), salt), { tag: latest, mediaType });
  return { ...all, publish, first: publish("first") };
}

test("300 cold GETs of one tag cost one HEAD and one counted GET", async () => {
  const { cache, upstream, first } = withTag();
  const answers = await Promise.all(Array.from({ length: 300 }, () => cache.tags.get(repositoryA, latest)));
  assert.deepEqual(new Set(answers.map((answer) => answer.digest)), new Set([first]));
  assert.equal(upstream.count("manifest_head"), 1);
  assert.equal(upstream.count("manifest_get"), 1);
  assert.match(upstream.requests.at(-1) ?? "", /@sha256:/);
});

test("a warm tag in its window costs nothing, past it one HEAD and no GET", async () => {
  const { cache, upstream, clock } = withTag();
  await cache.tags.get(repositoryA, latest);
  upstream.requests.length = 0;
  await clock.advance(59_000);
  await cache.tags.get(repositoryA, latest);
  assert.deepEqual(upstream.requests, []);
  await clock.advance(1_000);
  await Promise.all(Array.from({ length: 20 }, () => cache.tags.get(repositoryA, latest)));
  assert.deepEqual(upstream.requests.length, 1);
  assert.equal(upstream.count("manifest_head"), 1);
});

test("a tag that moved costs one GET of the new digest", async () => {
  const { cache, upstream, clock, publish, first } = withTag();
  assert.equal((await cache.tags.get(repositoryA, latest)).digest, first);
  const second = publish("second");
  await clock.advance(60_000);
  assert.equal((await cache.tags.get(repositoryA, latest)).digest, second);
  assert.equal(upstream.count("manifest_get"), 2);
});

test("a client's HEAD of a cold tag costs no GET, and the GET after it no second HEAD", async () => {
  const { cache, upstream, first } = withTag();
  const { record } = await cache.tags.resolve(repositoryA, latest);
  assert.deepEqual([record.digest, record.mediaType], [first, mediaType]);
  assert.equal(upstream.count("manifest_get"), 0);
  await cache.tags.get(repositoryA, latest);
  assert.deepEqual([upstream.count("manifest_head"), upstream.count("manifest_get")], [1, 1]);
});

test("when upstream is down the old record answers, as stale, for as long as it may", async () => {
  const { cache, upstream, clock, events, first } = withTag({ staleIfErrorMs: 3_600_000 });
  await cache.tags.get(repositoryA, latest);
  upstream.before = down;
  await clock.advance(100_000);
  const answer = await cache.tags.get(repositoryA, latest);
  assert.equal(answer.digest, first);
  assert.deepEqual(answer.stale, { reason: "down", ageSec: 100, overdueSec: 40 });
  assert.deepEqual(events.at(-1), { kind: "stale", reason: "down" });
  assert.equal((await cache.tags.resolve(repositoryA, latest)).stale?.reason, "down");
  await clock.advance(3_600_000);
  await assert.rejects(cache.tags.get(repositoryA, latest), { code: "unavailable" });
});

test("an upstream that hangs is waited for two seconds when there is a record", async () => {
  const { cache, upstream, clock } = withTag();
  await cache.tags.get(repositoryA, latest);
  await clock.advance(60_000);
  upstream.before = () => clock.sleep(1e9);
  upstream.manifests.head = (_repository, _reference, signal) =>
    new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason as Error)));
  const answer = cache.tags.get(repositoryA, latest);
  await clock.advance(limits.freshnessCheckMs);
  assert.equal((await answer).stale?.reason, "timeout");
});

test("a new digest that can't be fetched leaves the old record to answer", async () => {
  const { cache, upstream, clock, publish, first } = withTag();
  await cache.tags.get(repositoryA, latest);
  publish("second");
  await clock.advance(60_000);
  upstream.before = (verb) => {
    if (verb === "manifest_get") throw new PullringError("throttled", "429");
  };
  const answer = await cache.tags.get(repositoryA, latest);
  assert.deepEqual([answer.digest, answer.stale?.reason], [first, "throttled"]);
});

test("a tag that upstream deleted is gone, remembered for ten seconds; its digest stays", async () => {
  const { cache, upstream, clock, first } = withTag();
  await cache.tags.get(repositoryA, latest);
  await clock.advance(60_000);
  upstream.before = (verb) => {
    if (verb === "manifest_head") throw new PullringError("missing", "404");
  };
  await assert.rejects(cache.tags.get(repositoryA, latest), { code: "missing" });
  await assert.rejects(cache.tags.get(repositoryA, latest), { code: "missing" });
  assert.equal(upstream.count("manifest_head"), 2);
  assert.equal((await cache.manifests.get(repositoryA, first)).digest, first);
  upstream.before = () => {};
  await clock.advance(limits.negativeMs);
  assert.equal((await cache.tags.get(repositoryA, latest)).digest, first);
});

test("want of rights is an answer, but not one that is remembered", async () => {
  const { cache, upstream } = withTag();
  upstream.before = () => {
    throw new PullringError("missing", "401 after a good token", { reason: "refused" });
  };
  await assert.rejects(cache.tags.get(repositoryA, latest), { code: "missing" });
  upstream.before = () => {};
  await cache.tags.get(repositoryA, latest);
});

test("an upstream whose HEAD names no digest is asked by one counted GET, and not by HEAD again", async () => {
  const { cache, upstream, clock, first } = withTag();
  upstream.headTells.digest = false;
  assert.equal((await cache.tags.get(repositoryA, latest)).digest, first);
  assert.deepEqual([upstream.count("manifest_head"), upstream.count("manifest_get")], [1, 1]);
  await clock.advance(60_000);
  await cache.tags.get(repositoryA, latest);
  assert.deepEqual([upstream.count("manifest_head"), upstream.count("manifest_get")], [1, 2]);
});

test("one HEAD without a digest, from an upstream that names them, costs one counted GET and not one a check", async () => {
  const { cache, upstream, clock } = withTag();
  await cache.tags.get(repositoryA, latest);
  upstream.headTells.digest = false;
  await clock.advance(60_000);
  await cache.tags.get(repositoryA, latest);
  assert.deepEqual([upstream.count("manifest_head"), upstream.count("manifest_get")], [2, 2]);
  upstream.headTells.digest = true;
  await clock.advance(60_000);
  await cache.tags.get(repositoryA, latest);
  assert.deepEqual([upstream.count("manifest_head"), upstream.count("manifest_get")], [3, 2]);
});

test("a clock that was set back makes no record fresh for ever", async () => {
  const { cache, upstream, clock } = withTag();
  await cache.tags.get(repositoryA, latest);
  const now = clock.now.bind(clock);
  clock.now = () => now() - 3_600_000;
  await cache.tags.get(repositoryA, latest);
  assert.equal(upstream.count("manifest_head"), 2);
});

test("a cold tag is not even looked up while nothing may be fetched", async () => {
  const { cache, upstream } = withTag();
  const refusal = new PullringError("throttled", "nothing is left", { retryAfterSec: 600 });
  upstream.manifests.refusal = () => Promise.resolve(refusal);
  await assert.rejects(cache.tags.get(repositoryA, latest), refusal);
  assert.deepEqual(upstream.requests, []);
});
