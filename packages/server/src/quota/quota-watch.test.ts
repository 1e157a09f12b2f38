import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import type { BudgetState } from "@pullring/core";
import { sampleLane, virtualClock } from "@pullring/testkit";

import { BudgetLevels } from "./budget-levels.ts";
import { quotaLimits as limits } from "./limits.ts";
import { QuotaWatch } from "./quota-watch.ts";
import { SpendHistory } from "./spend-history.ts";

const hourMs = 3_600_000;
const key = "docker.io source:203.0.113.10";

const budgetOf = (remaining: number | undefined, more: Partial<BudgetState> = {}): BudgetState => ({
  key,
  limit: 200,
  remaining,
  inFlight: 0,
  windowSec: 21_600,
  spent: 0,
  observedAt: undefined,
  resetAt: undefined,
  coolDownUntil: undefined,
  ...more,
});

function watching(t: TestContext, first: BudgetState) {
  const clock = virtualClock();
  const lines: string[] = [];
  const note =
    (level: string) =>
    (facts: object, message: string): void =>
      void lines.push(`${level} ${message} ${JSON.stringify(facts)}`);
  const all = { budgets: [first], lanes: [sampleLane("n1")] };
  const watch = new QuotaWatch({
    budgets: { all: () => Promise.resolve(all.budgets) },
    lanes: () => all.lanes,
    clock,
    log: { info: note("info"), warn: note("warn") },
  });
  watch.start();
  t.after(() => watch.close());
  const spendTo = async (remaining: number, more?: Partial<BudgetState>): Promise<void> => {
    all.budgets = [budgetOf(remaining, more)];
    await clock.advance(limits.sampleMs);
  };
  return { all, clock, lines, watch, spendTo };
}

test("what is spent tells when a budget will be empty", async (t) => {
  const { clock, watch, spendTo } = watching(t, budgetOf(200));
  await clock.advance(1);
  assert.deepEqual((await watch.now())[0]?.forecast, undefined, "one look tells nothing");
  // One in ten seconds: 360 an hour.
  for (let remaining = 199; remaining >= 110; remaining -= 1) await spendTo(remaining);
  const forecast = (await watch.now())[0]?.forecast;
  assert.equal(Math.round(forecast?.perHour ?? 0), 360);
  const leftMs = (forecast?.emptyAt ?? 0) - clock.now();
  assert.ok(Math.abs(leftMs - (110 / 360) * hourMs) < 1_000, String(leftMs));
});

test("a lane that is benched for a moment is seen by whoever looks in that moment", async (t) => {
  const { all, clock, watch } = watching(t, budgetOf(200));
  const benched = (): unknown => watch.last().map(({ lane }) => lane.benched);
  await clock.advance(1);
  assert.deepEqual(benched(), [undefined]);
  all.lanes = [sampleLane("n1", { benched: "egress" })];
  assert.deepEqual(benched(), ["egress"]);
  all.lanes = [sampleLane("n1")];
  assert.deepEqual(benched(), [undefined]);
});

test("a budget that lasts until its window is over is not said to become empty", () => {
  const now = Date.UTC(2026, 0, 1);
  const history = new SpendHistory();
  for (let minute = 0; minute <= 10; minute += 1) history.add(budgetOf(200 - minute), minute * 60_000);
  assert.equal(history.forecast(budgetOf(190), now)?.emptyAt, now + (190 / 60) * hourMs);
  assert.equal(history.forecast(budgetOf(190, { resetAt: now + hourMs }), now)?.emptyAt, undefined);
  assert.equal(history.forecast(budgetOf(190, { windowSec: 3_600 }), now)?.emptyAt, undefined);
});

test("a window that is over is no spending, and what was spent long ago counts no more", () => {
  const history = new SpendHistory();
  history.add(budgetOf(5), 0);
  history.add(budgetOf(200), 10_000);
  assert.deepEqual(history.forecast(budgetOf(200), 0), { perHour: 0, emptyAt: undefined });
  history.add(budgetOf(100), 20_000);
  assert.equal(history.forecast(budgetOf(100), 0)?.perHour, 6_000, "of a minute at least");
  history.add(budgetOf(100), 20_000 + limits.historyMs);
  history.add(budgetOf(100), 30_000 + limits.historyMs);
  assert.equal(history.forecast(budgetOf(100), 0)?.perHour, 0);
  history.add(budgetOf(undefined), 40_000 + limits.historyMs);
  assert.equal(history.forecast(budgetOf(undefined), 0), undefined, "unmetered");
});

test("an empty budget is empty now", () => {
  const history = new SpendHistory();
  history.add(budgetOf(0), 0);
  history.add(budgetOf(0), 10_000);
  assert.deepEqual(history.forecast(budgetOf(0), 77), { perHour: 0, emptyAt: 77 });
});

test("a line is written when a budget falls below 50, 20 and 5 %, the last one as a warning, once each", async (t) => {
  const { lines, spendTo, clock } = watching(t, budgetOf(200));
  await clock.advance(1);
  for (let remaining = 199; remaining >= 0; remaining -= 1) await spendTo(remaining);
  const told = lines.map((line) => line.replace(/ \{.*/, ""));
  assert.deepEqual(told, [
    "info at most 50 % of a budget is left",
    "info at most 20 % of a budget is left",
    "warn at most 5 % of a budget is left",
  ]);
  assert.match(
    lines[2] ?? "",
    /"budget":"docker\.io source:203\.0\.113\.10","remaining":10,"limit":200,"emptyInSec":100/,
  );
});

test("one that falls far at once is told of once, and again in its next window", async (t) => {
  const { lines, spendTo } = watching(t, budgetOf(200));
  await spendTo(200);
  await spendTo(3);
  assert.equal(lines.length, 1);
  await spendTo(200);
  await spendTo(3);
  assert.deepEqual(lines.length, 2);
  assert.ok(lines.every((line) => line.startsWith("warn at most 5 %")));
});

test("a budget that hovers about a level is told of once", () => {
  const levels = new BudgetLevels();
  const told = [0.51, 0.5, 0.52, 0.49, 0.55, 0.5, 0.61, 0.5].map((left) => levels.fell(left));
  assert.deepEqual(told, [undefined, 0.5, undefined, undefined, undefined, undefined, undefined, 0.5]);
});

test("lanes without a budget, or of one that nothing is known of, are there all the same", async (t) => {
  const { all, clock, watch } = watching(t, budgetOf(200));
  all.lanes = [sampleLane("n1", { upstream: "ghcr.io", budget: undefined }), sampleLane("n1", { budget: "other" })];
  await clock.advance(limits.sampleMs);
  assert.deepEqual(
    watch.last().map(({ lane, budget, forecast }) => [lane.upstream, budget, forecast]),
    [
      ["ghcr.io", undefined, undefined],
      ["docker.io", undefined, undefined],
    ],
  );
});
