import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import { makeLocalBudgets, type Budgets } from "@pullring/core";
import { eventually, startConnectProxy, virtualClock, type Hub, type HubOptions } from "@pullring/testkit";

import type { Egress } from "./egress.ts";
import { accountOf, failsAs, fetchBlob, hubRig, library, realClock, tag, type RigOptions } from "./test-rig.ts";

const quota = { anonymous: true, limit: 100, windowSec: 21_600, reserve: 0, priority: [] };
const [addressA, addressB] = ["127.0.0.2", "127.0.0.3"];
const ab: readonly Egress[] = [
  { name: "a", localAddress: addressA },
  { name: "b", localAddress: addressB },
];
const one = { username: "one", password: "first" };
const pullLimit = {
  status: 429,
  body: '{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}',
};
const abuse = (retryAfter: string) => ({
  status: 429,
  body: "Too Many Requests",
  headers: { "retry-after": retryAfter, "content-type": "text/plain" },
});

/** An upstream that counts, and what is known of its budgets. */
async function countedRig(t: TestContext, options: RigOptions & { readonly hub?: HubOptions } = {}) {
  const clock = virtualClock();
  const budgets: Budgets = options.budgets ?? makeLocalBudgets({ clock });
  const { hub, rig } = await hubRig(t, {
    clock,
    budgets,
    ...options,
    upstream: { quota, ...options.upstream },
  });
  hub.content.addImage({ repository: library.name, tag: "3", layers: [] });
  const get = async (): Promise<string> => (await rig.manifests.get(library, tag("3"))).lane.name;
  const head = async (): Promise<string> => (await rig.manifests.head(library, tag("3"))).lane.name;
  const stateOf = async (key: string) => (await budgets.all()).find((state) => state.key === `docker.io ${key}`);
  const benches = () => Object.fromEntries(rig.lanes().map(({ name, benched }) => [name, benched]));
  return { clock, hub, rig, get, head, stateOf, benches };
}

const getsBy = (hub: Hub, remoteAddress: string): number => hub.ledger.count({ kind: "manifest_get", remoteAddress });
const repeat = async (times: number, ask: () => Promise<unknown>): Promise<void> => {
  for (let index = 0; index < times; index += 1) await ask();
};

test("the pull limit benches its budget until Retry-After: manifests go by the other lane, what is free by both", async (t) => {
  const { clock, hub, get, head } = await countedRig(t, { egress: ab });
  hub.faults.add({ kind: "manifest_get" }, { ...pullLimit, headers: { "retry-after": "120" } });
  assert.equal(await get(), "anonymous@b@n1");
  assert.deepEqual([getsBy(hub, addressA), getsBy(hub, addressB)], [1, 1]);
  await clock.advance(119_000);
  await repeat(5, get);
  assert.equal(getsBy(hub, addressA), 1);
  const heads = new Set([await head(), await head()]);
  assert.ok(heads.has("anonymous@b@n1"));
  await clock.advance(1_001);
  await repeat(8, get);
  assert.ok(getsBy(hub, addressA) > 1);
});

test("the pull limit without Retry-After benches its budget until its window is over, and no request is sent for it", async (t) => {
  const { clock, hub, get, head } = await countedRig(t, { hub: { anonymousLimit: 50, anonymousWindowSec: 3_600 } });
  await get();
  hub.faults.add({ kind: "manifest_get", times: "always" }, pullLimit);
  await assert.rejects(get(), failsAs("throttled"));
  const asked = hub.ledger.count({ kind: "manifest_get" });
  for (const pauseSec of [61, 1_800, 1_700]) {
    await clock.advance(pauseSec * 1000);
    await assert.rejects(get(), failsAs("throttled"));
  }
  assert.equal(hub.ledger.count({ kind: "manifest_get" }), asked);
  await clock.advance(60_000);
  hub.faults.clear();
  hub.advance(3_621_000);
  await get();
  await head();
});

test("a window of an hour is believed: its budget is spent to its end, and refills after it", async (t) => {
  const { clock, hub, get, stateOf } = await countedRig(t, { hub: { anonymousLimit: 3, anonymousWindowSec: 3_600 } });
  await repeat(3, get);
  const error = await get().catch((found: unknown) => found);
  assert.ok(failsAs("throttled")(error));
  const state = await stateOf("source:127.0.0.1");
  assert.deepEqual([state?.windowSec, state?.limit, state?.remaining], [3_600, 3, 0]);
  assert.equal(hub.ledger.count({ status: 429 }), 0);
  hub.advance(3_605_000);
  await clock.advance(3_605_000);
  await repeat(3, get);
  assert.equal(hub.ledger.count({ status: 429 }), 0);
});

test("the abuse limit stops everything by that address, whoever asks, and nothing by another", async (t) => {
  const accounts = [accountOf(one)];
  const { clock, hub, rig, get, head, benches } = await countedRig(t, {
    egress: ab,
    accounts,
    hub: { accounts: [one] },
  });
  await get();
  hub.faults.add({ kind: "manifest_get" }, abuse("40"));
  await repeat(2, get);
  const paused = hub.ledger.entries.find(({ status }) => status === 429) ?? assert.fail("nobody was told");
  const asked = () => hub.ledger.count({ remoteAddress: paused.remoteAddress });
  const egress = paused.remoteAddress === addressA ? "a" : "b";
  const atPause = asked();
  await clock.advance(39_000);
  const blob = hub.content.addBlob({ repository: library.name, size: 10 });
  await repeat(4, async () => {
    await get();
    await head();
    await rig.lists.tags(library, "");
    await fetchBlob(rig, blob.digest);
  });
  assert.equal(asked(), atPause);
  assert.deepEqual(
    Object.entries(benches())
      .filter(([, benched]) => benched === "paused")
      .map(([name]) => name)
      .sort(),
    [`anonymous@${egress}@n1`, `one@${egress}@n1`],
  );
  await clock.advance(1_001);
  await repeat(8, get);
  assert.ok(asked() > atPause);
});

for (const bareLf of [false, true]) {
  test(`the abuse limit ${bareLf ? "with bare line feeds " : ""}for every address is met twice for a client's request, and then nothing goes out`, async (t) => {
    const { clock, hub, rig, get, head } = await countedRig(t, { egress: ab });
    await get();
    const before = hub.ledger.count();
    hub.knobs.abuse = { retryAfterSec: 40, bareLf, text: "Too Many Requests (HAP429)." };
    await assert.rejects(get(), failsAs("throttled"));
    assert.equal(hub.ledger.count() - before, 2);
    await clock.advance(39_000);
    for (const ask of [get, head, () => rig.lists.tags(library, "")]) await assert.rejects(ask(), failsAs("throttled"));
    assert.equal(hub.ledger.count() - before, 2);
    hub.knobs.abuse = undefined;
    await clock.advance(1_001);
    await get();
  });
}

test("without rate headers an address's budget stays as it was; a refusal benches it all the same", async (t) => {
  const { hub, get, stateOf } = await countedRig(t, {
    hub: { rateHeaders: false },
    upstream: { quota: { ...quota, limit: 2 } },
  });
  await repeat(5, get);
  const key = "source:127.0.0.1";
  assert.deepEqual([(await stateOf(key))?.remaining, (await stateOf(key))?.spent], [2, 0]);
  hub.faults.add({ kind: "manifest_get" }, { ...pullLimit, headers: { "retry-after": "300" } });
  await assert.rejects(get(), failsAs("throttled"));
  await assert.rejects(get(), { retryAfterSec: 300 });
  assert.equal(hub.ledger.count({ kind: "manifest_get" }), 6);
});

test("a paid account is unmetered: counted for display, asked before who may run dry, benched by a 429 alone", async (t) => {
  const paid = { ...one, plan: "paid" as const };
  const accounts = [accountOf(one, { limit: 2 })];
  const { hub, rig, get, clock } = await countedRig(t, {
    accounts,
    hub: { accounts: [paid] },
    upstream: { quota: { ...quota, limit: 2 } },
  });
  await repeat(6, get);
  assert.equal(rig.lanes().find(({ account }) => account === "one")?.unmetered, true);
  const byAccount = () => hub.ledger.count({ kind: "manifest_get", account: "one" });
  assert.ok(byAccount() >= 4, `${byAccount()}`);
  assert.equal(hub.ledger.count({ status: 429 }), 0);
  hub.faults.add({ kind: "manifest_get", account: "one" }, { ...pullLimit, headers: { "retry-after": "60" } });
  await repeat(2, get);
  const benched = byAccount();
  await clock.advance(59_000);
  await get();
  assert.equal(byAccount(), benched);
  await clock.advance(1_001);
  await repeat(2, get);
  assert.ok(byAccount() > benched);
});

test("a wrong password benches the account for longer each time; its lane says so, and pulls go by another", async (t) => {
  const accounts = [accountOf({ ...one, password: "guess" })];
  const { clock, hub, rig, get, benches } = await countedRig(t, { accounts, hub: { accounts: [one] } });
  const logins = (): number => hub.ledger.count({ kind: "token", authorization: "basic" });
  for (const [pauseSec, expected] of [
    [0, 1],
    [29, 1],
    [2, 2],
    [58, 2],
    [3, 3],
    [119, 3],
    [2, 4],
  ] as const) {
    await clock.advance(pauseSec * 1000);
    assert.equal(await get(), "anonymous@default@n1");
    assert.equal(logins(), expected, `after ${pauseSec} s`);
    assert.equal(benches()["one@default@n1"], "login");
  }
  assert.match(rig.logged(), /refuses the credentials/);
  assert.doesNotMatch(rig.logged(), /guess/);
});

test("an egress that dies is benched with its reason, its request goes by another, and it comes back", async (t) => {
  const proxy = await startConnectProxy({ localAddress: addressB });
  t.after(() => proxy.close());
  const egress = [
    { name: "b", proxy: proxy.url },
    { name: "a", localAddress: addressA },
  ];
  const { hub, get, benches } = await countedRig(t, {
    egress,
    clock: realClock,
    budgets: makeLocalBudgets({ clock: realClock }),
  });
  await repeat(4, get);
  assert.ok(getsBy(hub, addressA) > 0 && getsBy(hub, addressB) > 0);
  proxy.faults.refuse = true;
  proxy.reset();
  assert.deepEqual(new Set([await get(), await get(), await get()]), new Set(["anonymous@a@n1"]));
  assert.deepEqual(benches(), { "anonymous@b@n1": "egress", "anonymous@a@n1": undefined });
  proxy.faults.refuse = false;
  // It is left alone for a second or two, and has more left than the other then.
  await eventually(async () => (await get()) === "anonymous@b@n1", { intervalMs: 100 });
});

test("lanes that prove dead or locked out before anything is spent do not use up the tries of a request", async (t) => {
  const proxy = await startConnectProxy({ faults: { refuse: true } });
  t.after(() => proxy.close());
  const egress = [...["b", "c"].map((name) => ({ name, proxy: proxy.url })), { name: "a", localAddress: addressA }];
  const dead = await countedRig(t, { egress });
  assert.equal(await dead.get(), "anonymous@a@n1");
  const accounts = ["one", "two"].map((username) => accountOf({ username, password: "guess" }));
  const known = accounts.map(({ username }) => ({ username, password: "right" }));
  const locked = await countedRig(t, { accounts, hub: { accounts: known } });
  assert.equal(await locked.get(), "anonymous@default@n1");
  assert.equal(locked.hub.ledger.count({ kind: "token", authorization: "basic" }), 2);
});

test("at most one other lane is tried for a client's request, however many there are", async (t) => {
  const egress = [2, 3, 4, 5].map((last) => ({ name: `${last}`, localAddress: `127.0.0.${last}` }));
  const { hub, get } = await countedRig(t, { egress });
  hub.faults.add({ kind: "manifest_get", times: "always" }, { ...pullLimit, headers: { "retry-after": "60" } });
  await assert.rejects(get(), failsAs("throttled"));
  assert.equal(hub.ledger.count({ kind: "manifest_get" }), 2);
  await assert.rejects(get(), failsAs("throttled"));
  assert.equal(hub.ledger.count({ kind: "manifest_get" }), 4);
  await assert.rejects(get(), failsAs("throttled"));
  assert.equal(hub.ledger.count({ kind: "manifest_get" }), 4);
});
