import assert from "node:assert/strict";
import { test } from "node:test";

import type { LaneRow } from "./quota-calls.ts";
import { makeWarmBudget } from "./warm-budget.ts";

const repository = { upstream: "docker.io", name: "library/postgres" };

async function outcome(reserve: number, ...remaining: (number | null)[]): Promise<string> {
  const lanes = remaining.map((left) => ({ upstream: "docker.io", remaining: left }) as LaneRow);
  const other = { upstream: "ghcr.io", remaining: 500 } as LaneRow;
  const mayAsk = makeWarmBudget({
    quota: { here: () => Promise.resolve([...lanes, other]) },
    reserveOf: (upstream) => (upstream === "docker.io" ? reserve : 0),
  });
  return await mayAsk(repository).then(
    () => "may",
    (error: { code: string }) => error.code,
  );
}

test("a warm leaves the reserve to pulls, and asks while any lane has more than that", async () => {
  assert.equal(await outcome(20, 20), "throttled");
  assert.equal(await outcome(20, 3, 21), "may");
  assert.equal(await outcome(20, 3, 20), "throttled");
});

test("without a reserve, without lanes, or by a lane that is not counted, it may ask", async () => {
  assert.deepEqual([await outcome(0, 0), await outcome(20), await outcome(20, 1, null)], ["may", "may", "may"]);
});
