import assert from "node:assert/strict";
import { test } from "node:test";

import { eventually, jumpingClock, memoryBlobStore, startS3Double } from "@pullring/testkit";

import { limits } from "./limits.ts";
import type { Tombstone } from "./tombstones.ts";
import { openTier } from "./test-tier.ts";

test("word of a purge reaches every node, also one that was away, for seven days", async (t) => {
  const double = await startS3Double();
  t.after(() => double.close());
  const clock = jumpingClock();
  const heard: Tombstone[] = [];
  const options = { endpoint: double.endpoint, local: memoryBlobStore(), clock };
  const here = await openTier(options);
  const there = await openTier({ ...options, onTombstone: (tombstone) => void heard.push(tombstone) });
  const atMs = clock.now();
  const key = "docker.io/library/alpine:latest";
  here.tier.tombstones.put(key, atMs);
  assert.ok(here.tier.tombstones.isPurged(key, atMs));
  assert.ok(!here.tier.tombstones.isPurged(key, atMs + 1), "what was had later stays");
  assert.ok(!here.tier.tombstones.isPurged("docker.io/library/alpine:other", atMs));
  await eventually(() => here.tier.capabilities());
  assert.ok(await here.tier.flush(5_000));

  // It may be in the middle of a reading yet, and sleeps then.
  const isHeard = (): boolean => {
    clock.jump(limits.tombstonesReadEveryMs);
    return there.tier.tombstones.isPurged(key, atMs);
  };
  await eventually(isHeard, { intervalMs: 50 });
  assert.deepEqual(heard, [{ key, atMs }]);
  const late = await openTier(options);
  await eventually(() => late.tier.capabilities());
  assert.deepEqual(await late.tier.tombstones.read(), [{ key, atMs }]);

  // A second purge of the same key moves its time on and never back.
  here.tier.tombstones.put(key, atMs + 50);
  here.tier.tombstones.put(key, atMs - 50);
  assert.ok(await here.tier.flush(5_000));
  assert.deepEqual(await there.tier.tombstones.read(), [{ key, atMs: atMs + 50 }]);

  clock.shift(limits.tombstoneMs);
  assert.deepEqual(await late.tier.tombstones.read(), []);
  await late.tier.sweep();
  assert.equal([...double.objects.keys()].filter((name) => name.includes("tombstones")).length, 0);
});
