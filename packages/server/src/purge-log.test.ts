import assert from "node:assert/strict";
import { test } from "node:test";

import type { PurgeOrder } from "@pullring/core";
import type { Digest } from "@pullring/oci";
import { eventually, virtualClock } from "@pullring/testkit";

import { openPurgeLog } from "./purge-log.ts";

const digest = `sha256:${"a".repeat(64)}` as Digest;

function rig() {
  const clock = virtualClock();
  const carried: PurgeOrder[] = [];
  let kept: unknown;
  const file = {
    load: () => Promise.resolve(kept),
    save: (value: unknown) => Promise.resolve(void (kept = JSON.parse(JSON.stringify(value)) as unknown)),
  };
  const carryOut = (order: PurgeOrder): Promise<void> => Promise.resolve(void carried.push(order));
  const recalled: PurgeOrder[] = [];
  const recall = (order: PurgeOrder): void => void recalled.push(order);
  const open = () => openPurgeLog({ file, clock, log: { warn: () => {} }, carryOut, recall });
  return { clock, carried, recalled, open, kept: () => kept };
}

test("word of a purge that was carried out is not obeyed again, not after a restart either", async () => {
  const { clock, carried, open, kept } = rig();
  const order = { digest, atMs: clock.now() };
  const log = await open();
  await log.run(order);
  await log.obey({ ...order, atMs: order.atMs + 3 });
  assert.equal(carried.length, 1);
  await eventually(() => kept() !== undefined);
  await (await open()).obey(order);
  assert.equal(carried.length, 1);
});

test("what was purged before a restart is remembered after it, and not carried out again", async () => {
  const { clock, carried, recalled, open, kept } = rig();
  const order = { repository: { upstream: "docker.io", name: "library/alpine" }, atMs: clock.now() };
  await (await open()).run(order);
  await eventually(() => kept() !== undefined);
  await open();
  assert.deepEqual(recalled, [order]);
  assert.equal(carried.length, 1);
});

test("word of a purge that this node missed is obeyed, and so is every order given now", async () => {
  const { clock, carried, open } = rig();
  const log = await open();
  await log.obey({ digest, atMs: clock.now() });
  await clock.advance(20_000);
  await log.obey({ digest, atMs: clock.now() });
  assert.equal(carried.length, 2);
  await log.run({ digest, atMs: clock.now() });
  assert.equal(carried.length, 3);
});
