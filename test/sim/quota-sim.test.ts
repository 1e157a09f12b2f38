import assert from "node:assert/strict";
import { test } from "node:test";

import { runQuotaSeedsAside } from "./quota-seeds-aside.ts";
import { replayOfQuota } from "./quota-seeds.ts";

const seeds = 2_000;

test(`${seeds} clusters spend no budget beyond what is in flight when something breaks, and all of it afterwards, evenly`, async () => {
  const { failures, runs, refused } = await runQuotaSeedsAside(1, seeds);
  const told = failures.map(({ seed, broken }) => `${replayOfQuota(seed)}\n  ${broken.slice(0, 5).join("\n  ")}`);
  assert.equal(told.length, 0, `promises were broken; to see how:\n${told.join("\n")}`);
  assert.equal(runs, seeds);
  assert.ok(refused > 100, "faults are none when they cost nothing");
});
