import assert from "node:assert/strict";
import { test } from "node:test";

import { virtualClock } from "@pullring/testkit";

import { makeBreaker, type HostOutcome } from "./breaker.ts";

const origin = "https://registry.example.org";

function rig() {
  const clock = virtualClock();
  const breaker = makeBreaker(clock);
  /** Ms to wait, or 0 when it was let through. */
  const tryOnce = (outcome: HostOutcome): number => {
    const entered = breaker.enter(origin);
    if (typeof entered === "number") return entered;
    entered(outcome);
    return 0;
  };
  return { clock, breaker, tryOnce };
}

test("a host that can't be reached is left alone for 1 s, then for twice as long, 10 s at most", async () => {
  const { clock, tryOnce } = rig();
  const pauses: number[] = [];
  for (let times = 0; times < 6; times += 1) {
    assert.equal(tryOnce("unreachable"), 0);
    const pauseMs = tryOnce("answered");
    pauses.push(pauseMs);
    await clock.advance(pauseMs);
  }
  assert.deepEqual(pauses, [1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
});

test("after the pause one request tries and the others fail fast until it is through", async () => {
  const { clock, breaker, tryOnce } = rig();
  tryOnce("unreachable");
  await clock.advance(1_000);
  const probe = breaker.enter(origin);
  assert.equal(typeof probe, "function");
  assert.notEqual(tryOnce("answered"), 0);
  if (typeof probe === "function") probe("answered");
  assert.equal(tryOnce("answered"), 0);
  assert.equal(tryOnce("answered"), 0);
});

test("a host counts as down from its failure on until a request has got through, that one's own time included", async () => {
  const { clock, breaker, tryOnce } = rig();
  assert.equal(breaker.isClosed(origin), false);
  tryOnce("unreachable");
  assert.equal(breaker.isClosed(origin), true);
  await clock.advance(1_000);
  assert.equal(breaker.isClosed(origin), false, "else nobody would try");
  const probe = breaker.enter(origin);
  assert.equal(breaker.isClosed(origin), true);
  if (typeof probe === "function") probe("answered");
  assert.equal(breaker.isClosed(origin), false);
});

test("a probe that its caller gave up makes room for another", async () => {
  const { clock, tryOnce } = rig();
  tryOnce("unreachable");
  await clock.advance(1_000);
  assert.equal(tryOnce("unknown"), 0);
  assert.equal(tryOnce("answered"), 0);
});

test("a success starts the pauses over", async () => {
  const { clock, tryOnce } = rig();
  tryOnce("unreachable");
  await clock.advance(1_000);
  tryOnce("answered");
  tryOnce("unreachable");
  assert.equal(tryOnce("answered"), 1_000);
});

test("many failures at once count once", () => {
  const { breaker, tryOnce } = rig();
  const entered = Array.from({ length: 20 }, () => breaker.enter(origin));
  for (const settle of entered) if (typeof settle === "function") settle("unreachable");
  assert.equal(tryOnce("answered"), 1_000);
});

test("a slow answer does no harm, three in a row do", () => {
  const { tryOnce } = rig();
  assert.equal(tryOnce("silent"), 0);
  assert.equal(tryOnce("silent"), 0);
  assert.equal(tryOnce("answered"), 0);
  for (let times = 0; times < 3; times += 1) assert.equal(tryOnce("silent"), 0);
  assert.equal(tryOnce("answered"), 1_000);
});

test("one host's trouble is not another's", () => {
  const { breaker, tryOnce } = rig();
  tryOnce("unreachable");
  assert.equal(typeof breaker.enter("https://cdn.example.org"), "function");
});
