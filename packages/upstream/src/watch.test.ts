import assert from "node:assert/strict";
import { test } from "node:test";

import { virtualClock } from "@pullring/testkit";

import { limits } from "./limits.ts";
import { makeWatch } from "./watch.ts";
import type { WireError } from "./wire-error.ts";

function rig() {
  const clock = virtualClock();
  const late: WireError[] = [];
  const watch = makeWatch(clock, (error) => void late.push(error));
  return { clock, watch, faults: () => late.map(({ fault }) => fault) };
}

test("a head has 10 s from when the request is on the wire", async () => {
  const { clock, watch, faults } = rig();
  await clock.advance(20_000);
  watch.sent();
  await clock.advance(9_999);
  assert.deepEqual(faults(), []);
  await clock.advance(20_000);
  assert.deepEqual(faults(), ["silent"]);
});

test("the wait for a connection is bounded too", async () => {
  const { clock, faults } = rig();
  await clock.advance(limits.queueMs);
  assert.deepEqual(faults(), ["silent"]);
});

test("a body without a byte for 10 s is cut", async () => {
  const { clock, watch, faults } = rig();
  watch.sent();
  watch.headed();
  await clock.advance(9_000);
  watch.received(1e6);
  await clock.advance(9_999);
  assert.deepEqual(faults(), []);
  await clock.advance(1_001);
  assert.deepEqual(faults(), ["cut"]);
});

test("a body that drips is cut after 30 s", async () => {
  const { clock, watch, faults } = rig();
  watch.headed();
  for (let seconds = 0; seconds < 29; seconds += 1) {
    watch.received(10_000);
    await clock.advance(1_000);
  }
  assert.deepEqual(faults(), []);
  watch.received(10_000);
  await clock.advance(2_000);
  assert.deepEqual(faults(), ["cut"]);
});

test("a body at the least rate goes on for ever", async () => {
  const { clock, watch, faults } = rig();
  watch.headed();
  for (let seconds = 0; seconds < 300; seconds += 1) {
    watch.received(10_240);
    await clock.advance(1_000);
  }
  assert.deepEqual(faults(), []);
  watch.stop();
  assert.equal(clock.pending, 0);
});

test("time during which we take nothing does not count", async () => {
  const { clock, watch, faults } = rig();
  watch.headed();
  watch.received(100);
  watch.hold();
  await clock.advance(3_600_000);
  watch.release();
  await clock.advance(9_000);
  assert.deepEqual(faults(), []);
  await clock.advance(2_000);
  assert.deepEqual(faults(), ["cut"]);
});
