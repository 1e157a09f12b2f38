import assert from "node:assert/strict";
import { test } from "node:test";

import { virtualClock } from "@pullring/testkit";

import { makePace } from "./pace.ts";

test("bytes pass at the rate, whoever they belong to", async () => {
  const clock = virtualClock();
  const pace = makePace(1_000_000, clock);
  let passed = 0;
  const stream = async (): Promise<void> => {
    for (let chunks = 0; chunks < 100; chunks += 1) {
      await pace(10_000);
      passed += 10_000;
    }
  };
  const both = Promise.all([stream(), stream()]);
  await clock.advance(1_000);
  assert.ok(passed >= 1_000_000 && passed <= 1_150_000, `${passed}`);
  await clock.advance(1_100);
  await both;
});

test("a pause earns a tenth of a second's bytes, and no more", async () => {
  const clock = virtualClock();
  const pace = makePace(1_000_000, clock);
  await clock.advance(60_000);
  assert.equal(pace(100_000), undefined);
  assert.ok(pace(1) instanceof Promise);
});

test("no limit costs nothing", () => {
  assert.equal(makePace(0, virtualClock())(1e9), undefined);
});
