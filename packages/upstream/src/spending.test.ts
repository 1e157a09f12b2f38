import assert from "node:assert/strict";
import { test } from "node:test";

import { budgetLimits, makeLocalBudgets, makeLocalPriorDigests, type LaneFacts } from "@pullring/core";
import type { Reference } from "@pullring/oci";
import { virtualClock } from "@pullring/testkit";

import type { AccountConfig, QuotaConfig } from "./config.ts";
import type { AccountLane } from "./lanes.ts";
import { makePayers } from "./payers.ts";
import { makePurse } from "./purse.ts";
import { makeSpending, type CountedOrder } from "./spending.ts";
import { accountOf, digest, failsAs } from "./test-rig.ts";

const quotaOf = (more: Partial<QuotaConfig> = {}): QuotaConfig => ({
  anonymous: true,
  limit: 2,
  windowSec: 3_600,
  reserve: 0,
  priority: [],
  ...more,
});

function rig(quota: Partial<QuotaConfig> = {}) {
  const clock = virtualClock();
  const [budgets, payers] = [makeLocalBudgets({ clock }), makePayers("docker.io")];
  const priors = makeLocalPriorDigests(clock);
  const spending = makeSpending({ upstream: "docker.io", quota: quotaOf(quota), budgets, priors, payers, clock });
  const stateOf = async (key: string) => (await budgets.all()).find((state) => state.key === key);
  return { clock, budgets, payers, spending, stateOf };
}

const laneBy = (egress: string, account?: AccountConfig): AccountLane => ({
  name: `${account?.name ?? "anonymous"}@${egress}@n1`,
  access: account ? "linked" : "public",
  egress: { name: egress },
  node: "n1",
  ...(account && { account }),
});
const [a, b] = [laneBy("a"), laneBy("b")];
const order = (reference: string, repository = "library/alpine"): CountedOrder => ({
  repository,
  reference: reference as Reference,
});
const pinned = digest(`sha256:${"a".repeat(64)}`);
const other = (facts: Partial<LaneFacts>): LaneFacts => ({
  name: "anonymous@c@n2",
  upstream: "docker.io",
  account: undefined,
  egress: "c",
  node: "n2",
  budget: "docker.io source:c",
  source: "c",
  unmetered: false,
  benched: undefined,
  ...facts,
});

test("lanes are spent in turn until all are empty, and then nothing is, until the window is over", async () => {
  const { clock, spending } = rig();
  const taken: string[] = [];
  for (let times = 0; times < 4; times += 1) {
    const { take, lanes } = await spending.take(order("3"), [a, b], []);
    taken.push(...lanes.map(({ egress }) => egress.name));
    take.settle("spent");
  }
  assert.deepEqual(taken, ["a", "b", "a", "b"]);
  await assert.rejects(spending.take(order("3"), [a, b], []), failsAs("throttled"));
  const refusal = await spending.refusal(order("3"), [a, b], []);
  // A thousandth and a second more than the window: clocks differ.
  assert.ok((refusal?.retryAfterSec ?? 0) >= 3_600 && (refusal?.retryAfterSec ?? 0) <= 3_605);
  await clock.advance(3_605_000);
  assert.equal(await spending.refusal(order("3"), [a, b], []), undefined);
  assert.ok(await spending.take(order("3"), [a, b], []));
});

test("lanes of one payer are one budget, and its take names them all", async () => {
  const { payers, spending, stateOf } = rig();
  for (const lane of [a, b])
    payers.learn(lane, {
      status: 200,
      headers: { "docker-ratelimit-source": "192.0.2.1" },
      url: new URL("http://r.test"),
      direct: true,
    });
  const { lanes, take } = await spending.take(order("3"), [a, b], []);
  assert.deepEqual(lanes, [a, b]);
  take.settle("spent");
  (await spending.take(order("3"), [b], [])).take.settle("spent");
  await assert.rejects(spending.take(order("3"), [a], []), failsAs("throttled"));
  assert.equal((await stateOf("docker.io source:192.0.2.1"))?.spent, 2);
});

test("an account's own limit and window are assumed before its upstream's", async () => {
  const ci = laneBy("a", accountOf({ username: "ci", password: "x" }, { limit: 50, windowSec: 60 }));
  const { spending, stateOf } = rig();
  await spending.take(order("3"), [ci], []);
  const state = await stateOf("docker.io account:ci");
  assert.deepEqual([state?.limit, state?.windowSec], [50, 60]);
});

test("what is unmetered is counted and never refused", async () => {
  const ci = laneBy("a", accountOf({ username: "ci", password: "x" }));
  const { payers, spending, stateOf } = rig();
  payers.learn(ci, { status: 200, headers: {}, url: new URL("http://r.test"), direct: true });
  for (let times = 0; times < 5; times += 1) (await spending.take(order("3"), [ci], [])).take.settle("spent");
  const state = await stateOf("docker.io account:ci");
  assert.deepEqual([state?.remaining, state?.spent], [undefined, 5]);
});

test("the reserve is for what has priority: by tag, and by the digest that its HEAD has just named", async () => {
  const { clock, spending } = rig({ reserve: 1, priority: ["library/*:stable"] });
  const refused = (wanted: CountedOrder) => spending.refusal(wanted, [a], []).then((error) => error !== undefined);
  (await spending.take(order("3"), [a], [])).take.settle("spent");
  await assert.rejects(spending.take(order("3"), [a], []), failsAs("throttled"));
  const wanted = [order("3"), order(pinned), order("stable"), order("stable", "acme/app")];
  assert.deepEqual(await Promise.all(wanted.map(refused)), [true, true, false, true]);
  await spending.named(order("3"), [pinned]);
  assert.equal(await refused(order(pinned)), true);
  await spending.named(order("stable"), [pinned]);
  assert.equal(await refused(order(pinned)), false);
  assert.equal(await refused(order(pinned, "library/busybox")), true);
  await clock.advance(budgetLimits.priorMs + 1);
  assert.equal(await refused(order(pinned)), true);
  assert.ok(await spending.take(order("stable"), [a], []));
});

test("the larger share is taken wherever its lane is; one without a budget is never", async () => {
  const { budgets, clock, spending } = rig();
  budgets.tell("docker.io egress:a@n1", { limit: 100, remaining: 40, windowSec: 60 }, clock.monotonic());
  budgets.tell("docker.io source:c", { limit: 10, remaining: 5, windowSec: 60 }, clock.monotonic());
  const taken = await spending.take(order("3"), [a], [other({}), other({ name: "uncounted", budget: undefined })]);
  assert.deepEqual([taken.lanes, taken.others.map(({ name }) => name)], [[], ["anonymous@c@n2"]]);
});

test("a lane of another node that is unmetered there is here", async () => {
  const { spending } = rig();
  const paid = other({ budget: "docker.io account:ci", account: "ci", unmetered: true });
  for (let times = 0; times < 5; times += 1) (await spending.take(order("3"), [], [paid])).take.settle("spent");
});

test("nothing is refused that a take would get, and a bench ends a budget at once", async () => {
  const { spending } = rig();
  const { take } = await spending.take(order("3"), [a], []);
  take.settle({ exhaustedForSec: 30 });
  assert.equal((await spending.refusal(order("3"), [a], []))?.retryAfterSec, 30);
  await assert.rejects(spending.take(order("3"), [a], []), { retryAfterSec: 30 });
  assert.equal(await spending.refusal(order("3"), [a, b], []), undefined);
});

test("a purse takes once for each request, and gives back what was not sent", async () => {
  const { spending, stateOf } = rig();
  const purseOf = async () =>
    makePurse({ spending, order: order("3"), lane: a, first: (await spending.take(order("3"), [a], [])).take });
  const unused = await purseOf();
  unused.close();
  const key = "docker.io egress:a@n1";
  assert.deepEqual([(await stateOf(key))?.inFlight, (await stateOf(key))?.spent], [0, 0]);
  const used = await purseOf();
  (await used.next()).settle("spent");
  (await used.next()).settle("spent");
  used.close();
  assert.equal((await stateOf(key))?.spent, 2);
  await assert.rejects(used.next(), failsAs("throttled"));
});
