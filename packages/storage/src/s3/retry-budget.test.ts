import assert from "node:assert/strict";
import { test } from "node:test";

import { virtualClock } from "@pullring/testkit";

import { limits } from "./limits.ts";
import { makeRetryBudget, type RetryBudget } from "./retry-budget.ts";

function retriesLeft(budget: RetryBudget): number {
  let retries = 0;
  while (budget.retry()) retries += 1;
  return retries;
}

test("retries are a fifth of the requests and ten a second", async () => {
  const clock = virtualClock();
  const budget = makeRetryBudget(clock);
  retriesLeft(budget);
  for (let n = 0; n < 101; n += 1) budget.spend();
  assert.equal(retriesLeft(budget), 20);
  await clock.advance(2_000);
  assert.equal(retriesLeft(budget), 20);
  assert.equal(budget.retry(), false);
});

test("a quiet hour saves no storm", async () => {
  const clock = virtualClock();
  const budget = makeRetryBudget(clock);
  await clock.advance(3_600_000);
  assert.equal(retriesLeft(budget), limits.retriesSavedMax);
});
