import assert from "node:assert/strict";
import { test } from "node:test";

import { planOf } from "./plan.ts";
import { replayOf, runPlan, runSeeds, type Tally } from "./run-seeds.ts";
import { runSeedsAside } from "./seeds-aside.ts";
import { regressions } from "./seeds.ts";
import { rareStates } from "./world.ts";

const seeds = 2_000;

function assertNoneBroken({ failures }: Tally): void {
  const told = failures.map(({ seed, broken }) => `${replayOf(seed)}\n  ${broken.slice(0, 5).join("\n  ")}`);
  assert.equal(told.length, 0, `promises were broken; to see how:\n${told.join("\n")}`);
}

test("what was found once stays right", async () => {
  assertNoneBroken(await runSeeds(regressions.map(({ seed }) => seed)));
});

test("the same seed makes the same run", async () => {
  const plan = planOf(11);
  assert.deepEqual((await runPlan(plan)).trace, (await runPlan(plan)).trace);
});

test(`${seeds} clusters keep all promises, whatever befalls them`, { timeout: 150_000 }, async () => {
  const tally = await runSeedsAside(1, seeds);
  assertNoneBroken(tally);
  const missed = rareStates.filter((state) => !tally.reached.has(state));
  assert.deepEqual(missed, [], "states that no run has reached");
});
