import assert from "node:assert/strict";
import { test } from "node:test";

import { makeLocalBudgets, PullringError, type Told } from "@pullring/core";
import { virtualClock } from "@pullring/testkit";

import type { AccountLane } from "./lanes.ts";
import { makePayers } from "./payers.ts";
import type { Answer } from "./redirects.ts";
import { settle, unanswered } from "./settle.ts";
import { accountOf } from "./test-rig.ts";
import { WireError, type WireFault } from "./wire-error.ts";

const nobody: AccountLane = { name: "anonymous@a@n1", access: "public", egress: { name: "a" }, node: "n1" };
const one = accountOf({ username: "one", password: "first" });
const somebody: AccountLane = { name: "one@a@n1", access: "linked", egress: { name: "a" }, node: "n1", account: one };

const rate = (remaining: number) => ({ "ratelimit-limit": "100;w=3600", "ratelimit-remaining": `${remaining};w=3600` });
const told = (remaining: number): Told => ({ limit: 100, remaining, windowSec: 3_600 });

function rig() {
  const clock = virtualClock();
  const [budgets, payers] = [makeLocalBudgets({ clock }), makePayers("docker.io")];

  /** Takes from the lane's budget, answers, and resolves to what is known of all. */
  async function answered(lane: AccountLane, facts: Partial<Answer>, isLimit = false) {
    const { key } = payers.of(lane);
    const taking = await budgets.take([{ key, limit: 100, windowSec: 21_600, reserve: 0 }]);
    assert.equal(taking.state, "taken");
    const { take } = taking;
    const answer: Answer = { status: 200, headers: {}, url: new URL("http://r.test"), direct: true, ...facts };
    settle(answer, { lane, payers, budgets, clock }, { take, askedAt: clock.monotonic(), isLimit });
    return new Map((await budgets.all()).map((state) => [state.key, state]));
  }
  return { clock, budgets, payers, answered };
}

const own = "docker.io egress:a@n1";

test("an answer with rate headers settles its budget by them, window included", async () => {
  const state = (await rig().answered(nobody, { headers: rate(70) })).get(own);
  assert.deepEqual([state?.remaining, state?.windowSec, state?.inFlight, state?.spent], [70, 3_600, 0, 1]);
});

test("an answer that names its payer tells that payer's budget too, and nothing stays in flight on the old one", async () => {
  const states = await rig().answered(nobody, { headers: { ...rate(70), "docker-ratelimit-source": "192.0.2.1" } });
  assert.equal(states.get("docker.io source:192.0.2.1")?.remaining, 70);
  assert.equal(states.get(own)?.inFlight, 0);
});

for (const [what, lane, status, spent] of [
  ["nobody's 200", nobody, 200, 0],
  ["an account's 200", somebody, 200, 1],
  ["nobody's 404", nobody, 404, 1],
  ["a 401", somebody, 401, 0],
  ["a 403", somebody, 403, 0],
  ["an abuse 429", somebody, 429, 0],
  ["a 500", nobody, 500, 1],
] as const) {
  test(`without rate headers ${what} has ${spent ? "spent" : "cost nothing"}`, async () => {
    const { answered, payers } = rig();
    const state = (await answered(lane, { status })).get(payers.of(nobody === lane ? nobody : somebody).key);
    assert.deepEqual([state?.spent, state?.inFlight, state?.remaining], [spent, 0, 100 - spent]);
  });
}

test("the pull limit benches the budget until its Retry-After, and without one until its window is over", async () => {
  for (const [headers, forSec] of [
    [{ "retry-after": "120" }, 120],
    [{ ...rate(0) }, 3_600],
    [{}, 21_600],
  ] as const) {
    const { clock, answered } = rig();
    const state = (await answered(nobody, { status: 429, headers }, true)).get(own);
    const leftSec = ((state?.coolDownUntil ?? 0) - clock.now()) / 1000;
    // The window's end is taken a thousandth and a second later than told, because clocks differ.
    assert.ok(leftSec >= forSec && leftSec <= forSec * 1.001 + 2, `${leftSec} s of ${forSec}`);
    assert.equal(state?.remaining, 0);
  }
});

test("an answer that was not counted tells what is left, and takes nothing", async () => {
  const { clock, budgets, payers } = rig();
  const answer: Answer = { status: 200, headers: rate(70), url: new URL("http://r.test"), direct: true };
  const facts = { take: undefined, askedAt: clock.monotonic(), isLimit: false };
  settle(answer, { lane: nobody, payers, budgets, clock }, facts);
  const [state] = await budgets.all();
  assert.deepEqual([state?.limit, state?.remaining, state?.spent], [100, told(70).remaining, 0]);
});

test("only what never left, or was held back here, was not counted", () => {
  const wired = (fault: WireFault): PullringError =>
    new PullringError("unavailable", "x", { cause: new WireError(fault, "x") });
  assert.equal(unanswered(wired("unreachable")), "unspent");
  assert.equal(unanswered(wired("forbidden")), "unspent");
  assert.equal(unanswered(new PullringError("throttled", "in a cool-down")), "unspent");
  for (const fault of ["silent", "reset", "unparsable", "cut"] as const)
    assert.equal(unanswered(wired(fault)), "spent");
  assert.equal(unanswered(new DOMException("left", "AbortError")), "spent");
});
