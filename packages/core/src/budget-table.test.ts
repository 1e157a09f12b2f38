import assert from "node:assert/strict";
import { test } from "node:test";

import { aloneWith } from "./budget-merge.ts";
import { BudgetTable } from "./budget-table.ts";

const windowSec = 10;
const key = "docker.io egress:a";
const wishes = [{ key, limit: 4, windowSec, reserve: 0 }];
const told = (remaining: number) => ({ limit: 4, remaining, windowSec });

test("a refill is seen when a counted request leaves as much as the one before it did", () => {
  const table = new BudgetTable();
  table.take({ id: "1", node: "n", wishes, now: 0 });
  table.settle({ id: "1", node: "n", key, outcome: told(3), now: 500 });
  // Upstream's window is over after ten seconds; here it is over when that is sure, a little later.
  table.take({ id: "2", node: "n", wishes, now: 10_400 });
  table.settle({ id: "2", node: "n", key, outcome: told(3), now: 10_450 });
  const [state] = table.states(12_000, (at) => at);
  assert.equal(state?.remaining, 3);
  assert.ok((state?.resetAt ?? 0) > 20_000);
});

test("what is spent when a window may be over, but need not be, counts in the next one too", () => {
  const table = new BudgetTable();
  table.take({ id: "1", node: "n", wishes, now: 0 });
  table.settle({ id: "1", node: "n", key, outcome: "spent", now: 2_000 });
  table.take({ id: "2", node: "n", wishes, now: 11_000 });
  table.settle({ id: "2", node: "n", key, outcome: "spent", now: 11_100 });
  assert.equal(table.states(13_100, (at) => at)[0]?.remaining, 3);
  assert.equal(table.states(30_000, (at) => at).length, 0);
});

test("what is heard after a window of what was asked in it has an end", () => {
  const table = new BudgetTable();
  table.take({ id: "1", node: "n", wishes, now: 0 });
  table.settle({ id: "1", node: "n", key, outcome: "spent", now: 100 });
  table.tell({ key, told: told(0), asked: { seq: 0, at: 0 }, now: 12_000 });
  assert.equal(table.states(12_100, (at) => at)[0]?.remaining, 0);
  assert.equal(table.states(24_000, (at) => at).length, 0);
});

test("a budget that was refused is not taken for empty when its time is over: it is asked once, by its whole share", () => {
  const table = new BudgetTable();
  const other = "docker.io egress:b";
  const both = [...wishes, { key: other, limit: 2, windowSec, reserve: 0 }];
  table.take({ id: "1", node: "n", wishes, now: 0 });
  table.settle({ id: "1", node: "n", key, outcome: { exhaustedForSec: 1 }, now: 100 });
  table.take({ id: "2", node: "n", wishes: both.slice(1), now: 200 });
  assert.equal(table.take({ id: "3", node: "n", wishes: both, now: 2_000 }).key, key);
  assert.equal(table.take({ id: "4", node: "n", wishes: both, now: 2_000 }).key, other);
  assert.equal(table.take({ id: "5", node: "n", wishes: both, now: 2_000 }).key, undefined);
});

test("so many budgets are remembered at most, the one unused for longest is forgotten", () => {
  const table = new BudgetTable();
  for (let count = 0; count < 1_100; count += 1)
    table.tell({ key: `${key}${count}`, told: told(1), asked: { seq: 0, at: count }, now: count });
  assert.equal(table.rows.size, 1_024);
  assert.equal(table.rows.has(`${key}0`), false);
});

test("a node that is cut off has its part of what is left, when what the others have in flight is spent and taken again", () => {
  const table = new BudgetTable();
  const wide = [{ key, limit: 30, windowSec, reserve: 0 }];
  const take = (id: string, node: string): void => void table.take({ id, node, wishes: wide, now: 0 });
  const partOf = (seen: BudgetTable): number => {
    const alone = aloneWith(seen, { node: "n1", among: 3, now: 0 });
    let part = 0;
    while (alone.take({ id: `alone ${part}`, node: "n1", wishes: wide, now: 0 }).key !== undefined) part += 1;
    return part;
  };
  take("1", "n1");
  assert.equal(partOf(table), 9, "a third of 29");
  for (const id of ["2", "3", "4"]) take(id, "n2");
  take("5", "n3");
  assert.equal(partOf(table), 7, "a third of 25 less 4");
});
