import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import { makeLocalBudgets, type Repository } from "@pullring/core";
import { virtualClock, type HubOptions } from "@pullring/testkit";

import { accountOf, failsAs, hubRig, library, rigFor, scripted, tag, type RigOptions } from "./test-rig.ts";

const quota = { anonymous: true, limit: 100, windowSec: 21_600, reserve: 0, priority: [] };
const one = { username: "one", password: "first" };

async function countedRig(t: TestContext, options: RigOptions & { readonly hub?: HubOptions } = {}) {
  const clock = virtualClock();
  const budgets = makeLocalBudgets({ clock });
  const { hub, rig } = await hubRig(t, { clock, budgets, ...options, upstream: { quota, ...options.upstream } });
  hub.content.addImage({ repository: library.name, tag: "3", layers: [] });
  const fetchBy = (lane: string, repository: Repository = library) =>
    rig.fetchOnLane({ lane, repository, reference: tag("3") });
  return { clock, budgets, hub, rig, fetchBy };
}

test("an upstream that is offline is not dialled, by whichever way", async (t) => {
  const { url, requests } = await scripted(t, (_, response) => response.end());
  const rig = rigFor(t, url, { upstream: { offline: true, quota } });
  const lane = "anonymous@default@n1";
  for (const ask of [
    () => rig.manifests.head(library, tag("3")),
    () => rig.manifests.get(library, tag("3")),
    () => rig.lists.tags(library, ""),
    () => rig.fetchOnLane({ lane, repository: library, reference: tag("3") }),
  ])
    await assert.rejects(ask(), /offline/);
  assert.equal(requests.length, 0);
});

test("for another node a lane asks once, out of what that node took, and tells what it was told", async (t) => {
  const { budgets, hub, fetchBy } = await countedRig(t);
  const { answer, outcome } = await fetchBy("anonymous@default@n1");
  assert.equal(answer.lane.name, "anonymous@default@n1");
  assert.deepEqual(outcome, { limit: 100, remaining: 99, windowSec: 21_600 });
  assert.equal(hub.ledger.count({ kind: "manifest_get" }), 1);
  // What was taken is settled where it was taken.
  assert.ok((await budgets.all()).every(({ spent, inFlight }) => spent + inFlight === 0));
});

test("for another node nothing is tried again that may be counted again, and no other lane is tried", async (t) => {
  const egress = [2, 3].map((last) => ({ name: `${last}`, localAddress: `127.0.0.${last}` }));
  const { hub, fetchBy } = await countedRig(t, { egress });
  hub.faults.add({ kind: "manifest_get", times: "always" }, { status: 502 });
  await assert.rejects(fetchBy("anonymous@2@n1"), failsAs("unavailable", "down"));
  assert.equal(hub.ledger.count({ kind: "manifest_get" }), 1);
});

test("for another node not even a signature that has run out is asked for again", async (t) => {
  const { hub, fetchBy } = await countedRig(t);
  const { url } = await scripted(t, (_, response) => response.writeHead(410).end());
  hub.faults.add({ kind: "manifest_get", times: "always" }, { redirectTo: url });
  await assert.rejects(fetchBy("anonymous@default@n1"), /one request was allowed/);
  assert.equal(hub.ledger.count({ kind: "manifest_get" }), 1);
});

test("for another node a token that has run out is replaced: a 401 is not counted", async (t) => {
  const { hub, fetchBy } = await countedRig(t);
  await fetchBy("anonymous@default@n1");
  hub.advance(600_000);
  await fetchBy("anonymous@default@n1");
  assert.deepEqual(
    hub.ledger.filter({ kind: "manifest_get" }).map(({ status, counted }) => [status, counted]),
    [
      [200, true],
      [401, false],
      [200, true],
    ],
  );
});

test("for another node an answer without rate headers is spent, and a refusal tells how long", async (t) => {
  const { hub, fetchBy } = await countedRig(t, { hub: { rateHeaders: false } });
  assert.equal((await fetchBy("anonymous@default@n1")).outcome, "spent");
  hub.faults.add(
    { kind: "manifest_get" },
    { status: 429, body: '{"errors":[{"code":"TOOMANYREQUESTS"}]}', headers: { "retry-after": "90" } },
  );
  await assert.rejects(fetchBy("anonymous@default@n1"), { code: "throttled", retryAfterSec: 90 });
  await assert.rejects(fetchBy("anonymous@default@n1"), failsAs("throttled"));
  assert.equal(hub.ledger.count({ kind: "manifest_get" }), 2);
});

test("for another node only a lane that may ask for the repository is used", async (t) => {
  const accounts = [accountOf(one, { repositories: ["acme/**"] })];
  const { hub, fetchBy } = await countedRig(t, { accounts, hub: { accounts: [one] } });
  const acme = { ...library, name: "acme/app" };
  hub.content.addImage({ repository: acme.name, tag: "3", layers: [], private: true });
  await assert.rejects(fetchBy("anonymous@default@n2"), /no such lane/);
  await assert.rejects(fetchBy("one@default@n1"), /no such lane/);
  await assert.rejects(fetchBy("anonymous@default@n1", acme), /no such lane/);
  assert.equal(hub.ledger.count({ kind: "manifest_get" }), 0);
});
