import assert from "node:assert/strict";
import { test } from "node:test";
import { virtualClock } from "./virtual-clock.ts";

test("time stands still until it is advanced, for both kinds of time", async () => {
  const clock = virtualClock(1_000);
  assert.deepEqual([clock.now(), clock.monotonic()], [1_000, 0]);
  await clock.advance(250);
  assert.deepEqual([clock.now(), clock.monotonic()], [1_250, 250]);
});

test("sleepers wake in the order of their time, each at its own", async () => {
  const clock = virtualClock(0);
  const woken: [string, number][] = [];
  const nap = async (name: string, ms: number) => {
    await clock.sleep(ms);
    woken.push([name, clock.monotonic()]);
  };
  const naps = [nap("late", 30), nap("early", 10), nap("never", 100)];
  assert.equal(clock.pending, 3);
  await clock.advance(50);
  assert.deepEqual(woken, [
    ["early", 10],
    ["late", 30],
  ]);
  assert.equal(clock.pending, 1);
  await clock.advance(50);
  await Promise.all(naps);
});

test("who goes to sleep again on the way wakes again on the way", async () => {
  const clock = virtualClock();
  let rounds = 0;
  const loop = async () => {
    for (; rounds < 5; rounds++) await clock.sleep(10);
  };
  const looping = loop();
  await clock.advance(49);
  assert.equal(rounds, 4);
  await clock.advance(1);
  await looping;
});

test("an aborted sleep rejects with the reason and leaves no sleeper", async () => {
  const clock = virtualClock();
  const controller = new AbortController();
  const sleeping = clock.sleep(10, controller.signal);
  controller.abort(new Error("enough"));
  await assert.rejects(sleeping, /enough/);
  await assert.rejects(clock.sleep(10, controller.signal), /enough/);
  assert.equal(clock.pending, 0);
});
