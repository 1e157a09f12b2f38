import assert from "node:assert/strict";
import { describe, test } from "node:test";

import type { BudgetKey, Budgets, BudgetState, BudgetWish, Take, Taking, Told } from "@pullring/core";

import { eventually } from "../assert.ts";

/** Budgets of one node or several in one place that nobody else uses. */
export interface BudgetRig {
  /** The same one for all where nothing is shared. */
  of(node: string): Budgets;
  /** Monotonic ms. */
  now(): number;
  /** Moves the time of all nodes on. */
  advance(ms: number): Promise<void>;
  close(): Promise<void>;
}

export interface BudgetSuiteOptions {
  readonly name: string;
  readonly open: () => Promise<BudgetRig>;
}

const windowSec = 60;
const [a, b]: readonly BudgetKey[] = ["docker.io egress:a@n1", "docker.io egress:b@n1"];
const wish = (key = a ?? "", limit: number | undefined = 4, reserve = 0): BudgetWish => ({
  key,
  limit,
  windowSec,
  reserve,
});
const told = (remaining: number, limit = 4): Told => ({ limit, remaining, windowSec });

function taken(taking: Taking): Take {
  assert.equal(taking.state, "taken", JSON.stringify(taking));
  return taking.take;
}

function empty(taking: Taking): number {
  assert.equal(taking.state, "empty");
  return taking.retryAfterSec;
}

async function stateOf(budgets: Budgets, key = a): Promise<BudgetState> {
  const found = (await budgets.all()).find((state) => state.key === key);
  assert.ok(found, `nothing is known of ${key}`);
  return found;
}

const is = (budgets: Budgets, expected: Partial<BudgetState>): Promise<unknown> =>
  eventually(async () => {
    const state = await stateOf(budgets);
    return Object.entries(expected).every(([name, value]) => state[name as keyof BudgetState] === value);
  });

/** What every Budgets keeps to. */
export function budgetSuite({ name, open }: BudgetSuiteOptions): void {
  const check = (promise: string, run: (rig: BudgetRig) => Promise<void>): void => {
    test(promise, async () => {
      const rig = await open();
      try {
        await run(rig);
      } finally {
        await rig.close();
      }
    });
  };

  describe(`budgets: ${name}`, () => {
    check("no more is given than the limit, in flight included, whoever asks", async (rig) => {
      const takings = await Promise.all(
        ["n1", "n2", "n3", "n1", "n2", "n3"].map((node) => rig.of(node).take([wish()])),
      );
      assert.equal(takings.filter(({ state }) => state === "taken").length, 4);
      await is(rig.of("n2"), { limit: 4, remaining: 0, inFlight: 4, spent: 0, observedAt: undefined });
    });

    check("what never reached upstream is given back, and can be settled once only", async (rig) => {
      const take = taken(await rig.of("n1").take([wish(a, 1)]));
      empty(await rig.of("n2").take([wish(a, 1)]));
      take.settle("unspent");
      take.settle("spent");
      await is(rig.of("n2"), { remaining: 1, inFlight: 0, spent: 0 });
      taken(await rig.of("n2").take([wish(a, 1)]));
    });

    check("an answer without a word of it uses one", async (rig) => {
      taken(await rig.of("n1").take([wish()])).settle("spent");
      await is(rig.of("n1"), { remaining: 3, inFlight: 0, spent: 1 });
    });

    check("what upstream tells holds: limit, window and what strangers have used", async (rig) => {
      const take = taken(await rig.of("n1").take([wish()]));
      take.settle({ limit: 10, remaining: 6, windowSec: 30 });
      await is(rig.of("n2"), { limit: 10, remaining: 6, windowSec: 30, inFlight: 0, spent: 1 });
      assert.notEqual((await stateOf(rig.of("n2"))).observedAt, undefined);
    });

    check("answers that come in another order than they were given count none twice and none never", async (rig) => {
      const takes = [];
      for (let count = 0; count < 3; count += 1) takes.push(taken(await rig.of(`n${count + 1}`).take([wish()])));
      takes[2]?.settle(told(1));
      await is(rig.of("n1"), { inFlight: 2, remaining: 0 });
      takes[0]?.settle(told(3));
      takes[1]?.settle(told(2));
      await is(rig.of("n1"), { inFlight: 0, remaining: 1, spent: 3 });
    });

    check("a later answer's word is taken even when it is more than was known: upstream has refilled", async (rig) => {
      taken(await rig.of("n1").take([wish()])).settle(told(1));
      await is(rig.of("n1"), { inFlight: 0, remaining: 1 });
      await rig.advance(100);
      rig.of("n1").tell(a ?? "", told(4), rig.now());
      await is(rig.of("n1"), { remaining: 4, spent: 0 });
    });

    check("a word that was asked for before the last one can only lower it", async (rig) => {
      taken(await rig.of("n1").take([wish()])).settle(told(3));
      await is(rig.of("n1"), { inFlight: 0, remaining: 3 });
      await rig.advance(100);
      const askedAt = rig.now();
      await rig.advance(100);
      taken(await rig.of("n1").take([wish()])).settle(told(2));
      await is(rig.of("n1"), { inFlight: 0, remaining: 2 });
      rig.of("n1").tell(a ?? "", told(3), askedAt);
      rig.of("n1").tell(b ?? "", told(3), askedAt);
      await eventually(async () => (await rig.of("n1").all()).length === 2);
      await is(rig.of("n1"), { remaining: 2 });
    });

    check("the largest share left is taken, and of equal ones the one taken least recently", async (rig) => {
      const keys = [];
      const wishes = [wish(a, 4), wish(b, 8)];
      for (let count = 0; count < 12; count += 1) {
        const take = taken(await rig.of(`n${(count % 3) + 1}`).take(wishes));
        take.settle("spent");
        keys.push(take.key);
      }
      assert.equal(keys.filter((key) => key === a).length, 4);
      assert.deepEqual(keys.slice(0, 3), [a, b, b]);
      empty(await rig.of("n1").take(wishes));
    });

    check("what is reserved is left to those who don't reserve it", async (rig) => {
      taken(await rig.of("n1").take([wish(a, 2, 1)])).settle("spent");
      empty(await rig.of("n2").take([wish(a, 2, 1)]));
      taken(await rig.of("n2").take([wish(a, 2)]));
    });

    check("nothing is taken in a cool-down, and everything can be after it", async (rig) => {
      taken(await rig.of("n1").take([wish()])).settle({ exhaustedForSec: 20 });
      await eventually(async () => (await stateOf(rig.of("n2"))).coolDownUntil !== undefined);
      const retryAfterSec = empty(await rig.of("n2").take([wish()]));
      assert.ok(retryAfterSec > 15 && retryAfterSec <= 20, String(retryAfterSec));
      await rig.advance(20_100);
      taken(await rig.of("n2").take([wish()]));
      empty(await rig.of("n1").take([wish()]));
    });

    check("a cool-down without a time lasts until the window's end, or until upstream has more", async (rig) => {
      taken(await rig.of("n1").take([wish()])).settle({ exhaustedForSec: undefined });
      await eventually(async () => (await stateOf(rig.of("n1"))).coolDownUntil !== undefined);
      assert.ok(empty(await rig.of("n1").take([wish()])) > 50);
      await rig.advance(100);
      rig.of("n1").tell(a ?? "", told(3), rig.now());
      await eventually(async () => (await stateOf(rig.of("n1"))).coolDownUntil === undefined);
      taken(await rig.of("n1").take([wish()]));
    });

    check("an unmetered budget is counted, and refuses in a cool-down only", async (rig) => {
      for (let count = 0; count < 6; count += 1) taken(await rig.of("n1").take([unmetered])).settle("spent");
      await is(rig.of("n1"), { limit: undefined, remaining: undefined, spent: 6 });
      taken(await rig.of("n1").take([unmetered])).settle({ exhaustedForSec: 30 });
      await eventually(async () => (await rig.of("n1").take([unmetered])).state === "empty");
    });

    check("a window that has passed refills, not before it has passed upstream", async (rig) => {
      for (let count = 0; count < 4; count += 1) taken(await rig.of("n1").take([wish()])).settle("spent");
      await is(rig.of("n1"), { inFlight: 0, remaining: 0 });
      await rig.advance(windowSec * 1_000);
      const retryAfterSec = empty(await rig.of("n1").take([wish()]));
      assert.ok(retryAfterSec <= 3, String(retryAfterSec));
      await rig.advance(3_000);
      taken(await rig.of("n1").take([wish()]));
      await is(rig.of("n1"), { inFlight: 1, remaining: 3 });
    });

    check("what was lost in flight is counted after a minute", async (rig) => {
      const hour = { ...wish(a, 2), windowSec: 3_600 };
      taken(await rig.of("n1").take([hour]));
      await rig.advance(60_100);
      await is(rig.of("n2"), { inFlight: 0, remaining: 1, spent: 1 });
    });

    check("nonsense from upstream changes nothing", async (rig) => {
      for (const remaining of [Number.NaN, Infinity, -1, 1.5])
        taken(await rig.of("n1").take([wish()])).settle(told(remaining));
      await is(rig.of("n1"), { inFlight: 0, limit: 4, remaining: 0 });
      await rig.advance(100);
      rig.of("n1").tell(a ?? "", { limit: Number.NaN, remaining: 4, windowSec: -5 }, rig.now());
      await is(rig.of("n1"), { inFlight: 0, limit: 4, remaining: 0 });
    });
  });
}

const unmetered: BudgetWish = { key: a ?? "", limit: undefined, windowSec, reserve: 0 };
