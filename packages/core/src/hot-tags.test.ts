import assert from "node:assert/strict";
import { test } from "node:test";

import type { Tag } from "@pullring/oci";
import { imageManifest, repositoryA, testCache, testCluster } from "@pullring/testkit";

import { PullringError } from "./errors.ts";
import { HotTags } from "./hot-tags.ts";
import { limits } from "./limits.ts";

const latest = "latest" as Tag;
const mediaType = "application/vnd.oci.image.manifest.v1+json";
const digest = (digit: string): string => `sha256:${digit.repeat(64)}`;
const freshMs = 60_000;

function withTag(more: Parameters<typeof testCache>[0] = {}) {
  const all = testCache({ freshMs, refreshHot: true, ...more });
  const publish = (salt: string) =>
    all.upstream.put(repositoryA, imageManifest(digest("c"), digest("1"), salt), { tag: latest, mediaType });
  const pull = () => all.cache.tags.get(repositoryA, latest);
  const asked = (): readonly number[] => [all.upstream.count("manifest_head"), all.upstream.count("manifest_get")];
  return { ...all, publish, pull, asked, first: publish("first") };
}

test("a tag that is asked for again and again is checked before its window ends, and nobody waits", async () => {
  const { pull, clock, upstream } = withTag();
  const headsAt: number[] = [];
  upstream.before = (verb) => {
    if (verb === "manifest_head") headsAt.push(clock.monotonic());
  };
  await pull();
  for (let tenth = 0; tenth < 50; tenth += 1) {
    await clock.advance(freshMs / 10);
    assert.equal((await pull()).asked, false);
  }
  const lengths = headsAt.slice(1).map((atMs, index) => (atMs - headsAt[index]!) / freshMs);
  assert.ok(lengths.length >= 5 && lengths.length <= 6);
  assert.ok(lengths.every((length) => length >= 1 - limits.refreshLeadMax && length <= 1 - limits.refreshLeadMin));
  assert.equal(upstream.count("manifest_get"), 1, "nothing moved");
});

test("one that is asked for once in its window is left alone, and so is one that nobody wants any more", async () => {
  const { pull, asked, clock } = withTag();
  await pull();
  await clock.advance(10 * freshMs);
  assert.deepEqual(asked(), [1, 1]);
  await pull();
  await pull();
  await clock.advance(freshMs);
  assert.deepEqual(asked(), [3, 1], "the client's own check, and one before its window ended");
  await clock.advance(20 * freshMs);
  assert.deepEqual(asked(), [3, 1]);
});

test("one that moved is there before anybody asks, at the cost of one GET by its digest", async () => {
  const { pull, publish, asked, clock, upstream, store } = withTag();
  await pull();
  await pull();
  const second = publish("second");
  await clock.advance(freshMs);
  assert.deepEqual(asked(), [2, 2]);
  assert.match(upstream.requests.at(-1) ?? "", /^manifest_get .*@sha256:/);
  assert.ok(store.stat(second));
  assert.equal((await pull()).digest, second);
  assert.deepEqual(asked(), [2, 2]);
});

test("one whose upstream names no digest costs no counted GET that nobody asked for", async () => {
  const { pull, asked, clock, upstream } = withTag();
  upstream.headTells.digest = false;
  await pull();
  await pull();
  await clock.advance(freshMs);
  assert.deepEqual(asked(), [1, 1]);
  // So long after, HEAD is tried again.
  const slow = withTag({ freshMs: 2 * limits.headRefusedMs });
  await slow.pull();
  await slow.pull();
  slow.upstream.headTells.digest = false;
  await slow.clock.advance(2 * limits.headRefusedMs);
  assert.deepEqual(slow.asked(), [2, 1]);
});

test("what upstream has no more is not served from its record, and a failing one is asked once a window", async () => {
  const gone = withTag();
  await gone.pull();
  await gone.pull();
  gone.upstream.before = (verb) => {
    if (verb === "manifest_head") throw new PullringError("missing", "gone");
  };
  await gone.clock.advance(freshMs);
  await assert.rejects(gone.pull(), { code: "missing" });

  const failing = withTag();
  await failing.pull();
  await failing.pull();
  failing.upstream.before = () => {
    throw new PullringError("throttled", "no more", { reason: "throttled" });
  };
  await failing.clock.advance(freshMs - 1);
  assert.equal((await failing.pull()).stale, undefined);
  assert.deepEqual(failing.asked(), [2, 1]);
});

test("so many tags at once and no more, each at a moment of its own", async () => {
  const { cache, clock, upstream } = testCache({ freshMs, refreshHot: true });
  const tags = Array.from({ length: 30 }, (_, at) => `t${at}` as Tag);
  for (const tag of tags) {
    upstream.put(repositoryA, imageManifest(digest("c"), digest("1"), tag), { tag, mediaType });
    for (let ask = 0; ask < 3; ask += 1) await cache.tags.get(repositoryA, tag);
  }
  upstream.requests.length = 0;
  let [running, most] = [0, 0];
  const starts = new Set<number>();
  upstream.before = async () => {
    most = Math.max(most, (running += 1));
    starts.add(clock.monotonic());
    await clock.sleep(1_000);
    running -= 1;
  };
  await clock.advance(freshMs + 10_000);
  assert.equal(upstream.count("manifest_head"), tags.length);
  assert.equal(most, limits.refreshesMax);
  assert.ok(starts.size > 5);
});

test("only the tag's owner checks, by whichever node clients ask", async () => {
  const cluster = testCluster({ freshMs, refreshHot: true });
  const { clock, upstream, nodes, until } = cluster;
  upstream.put(repositoryA, imageManifest(digest("c"), digest("1")), { tag: latest, mediaType });
  for (let window = 0; window < 4; window += 1) {
    for (const { cache } of [...nodes, ...nodes]) await until(cache.tags.get(repositoryA, latest));
    await clock.advance(freshMs / 2);
  }
  const before = upstream.count("manifest_head");
  const resolved = cluster.calls.filter((call) => call.includes(" resolve ")).length;
  await clock.advance(freshMs / 2);
  assert.ok(upstream.count("manifest_head") - before <= 1);
  assert.equal(upstream.count("manifest_get"), 1);
  assert.ok(
    cluster.calls.filter((call) => call.includes(" resolve ")).length === resolved,
    "no peer is asked by itself",
  );
});

test("what is remembered of tags is bounded", async () => {
  const asked: string[] = [];
  const { clock } = testCache();
  const refresh = (_: unknown, tag: Tag): Promise<void> => (asked.push(tag), Promise.resolve());
  const hot = new HotTags({ clock, freshMs: () => freshMs, isOurs: () => true, refresh });
  for (let at = 0; at <= limits.hotTagsMax; at += 1)
    for (let ask = 0; ask < 2; ask += 1) hot.asked(repositoryA, `t${at}` as Tag, clock.now());
  await clock.advance(freshMs);
  assert.equal(asked.length, limits.hotTagsMax);
  assert.equal(asked.includes("t0"), false);
});
