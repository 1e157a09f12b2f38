import assert from "node:assert/strict";
import { test } from "node:test";

import { hasCode } from "@pullring/core";
import { hubProfiles, virtualClock, type HubOptions } from "@pullring/testkit";

import { makeCoolDowns } from "./cool-downs.ts";
import { accountOf, digest, failsAs, fetchBlob, hubRig, library, tag, type RigOptions } from "./test-rig.ts";
import type { TestContext } from "node:test";

const one = { username: "one", password: "first" };
const [blobless, seconds] = [digest(`sha256:${"a".repeat(64)}`), 1_000];

async function throttledRig(t: TestContext, hub: HubOptions, options: RigOptions = {}) {
  const clock = virtualClock();
  const rig = await hubRig(t, { hub, clock, ...options });
  rig.hub.content.addImage({ repository: library.name, tag: "3", layers: [100] });
  return { ...rig, clock };
}

const retryAfterOf = (promise: Promise<unknown>): Promise<number | undefined> =>
  promise.then(
    () => assert.fail("was not refused"),
    (error: unknown) => (hasCode(error, "throttled") ? error.retryAfterSec : assert.fail(String(error))),
  );

test("a pull limit stops counted GETs of that lane until its Retry-After, and nothing else", async (t) => {
  const { hub, rig, clock } = await throttledRig(t, { anonymousLimit: 1, pullLimitRetryAfterSec: 120 });
  await rig.manifests.get(library, tag("3"));
  assert.equal(await retryAfterOf(rig.manifests.get(library, tag("3"))), 120);
  const asked = hub.ledger.count({ kind: "manifest_get" });
  await clock.advance(50 * seconds);
  assert.equal(await retryAfterOf(rig.manifests.get(library, tag("3"))), 70);
  await rig.manifests.head(library, tag("3"));
  await rig.lists.tags(library, "");
  assert.equal(hub.ledger.count({ kind: "manifest_get" }), asked);
  await clock.advance(71 * seconds);
  hub.knobs.anonymousLimit = 100;
  await rig.manifests.get(library, tag("3"));
});

test("a pull limit without Retry-After pauses for a minute", async (t) => {
  const { hub, rig } = await throttledRig(t, { anonymousLimit: 0 });
  assert.equal(await retryAfterOf(rig.manifests.get(library, tag("3"))), 60);
  assert.equal(await retryAfterOf(rig.manifests.get(library, tag("3"))), 60);
  assert.equal(hub.ledger.count({ kind: "manifest_get" }), 1);
});

test("one lane's pull limit sends the request by another lane, once", async (t) => {
  const accounts = [
    { ...one, limit: 0 },
    { username: "two", password: "second", limit: 0 },
  ];
  const { hub, rig } = await throttledRig(t, { accounts }, { accounts: accounts.map((account) => accountOf(account)) });
  await assert.rejects(rig.manifests.get(library, tag("3")), failsAs("throttled"));
  assert.equal(hub.ledger.count({ kind: "manifest_get" }), 2);
  // Both cool down now, which leaves the anonymous lane.
  assert.equal((await rig.manifests.get(library, tag("3"))).lane.access, "public");
  assert.equal(hub.ledger.count({ kind: "manifest_get" }), 3);
});

test("a throttled account is no reason to call its repositories missing", async (t) => {
  const hubOptions = { accounts: [{ ...one, limit: 0, repositories: ["library/**"] }] };
  const { hub, rig } = await throttledRig(t, hubOptions, { accounts: [accountOf(one)] });
  hub.content.addRepository({ repository: library.name, private: true });
  for (let times = 0; times < 2; times += 1)
    await assert.rejects(rig.manifests.get(library, tag("3")), failsAs("throttled"));
});

for (const bareLf of [false, true]) {
  test(`the abuse limit ${bareLf ? "with bare line feeds " : ""}stops everything until its Retry-After`, async (t) => {
    const { hub, rig, clock } = await throttledRig(t, {});
    await rig.manifests.head(library, tag("3"));
    hub.knobs.abuse = { retryAfterSec: 40, bareLf, text: "Too Many Requests (HAP429)." };
    assert.equal(await retryAfterOf(rig.manifests.head(library, tag("3"))), 40);
    const asked = hub.ledger.count();
    assert.equal(await retryAfterOf(rig.manifests.get(library, tag("3"))), 40);
    assert.equal(await retryAfterOf(fetchBlob(rig, blobless)), 40);
    assert.equal(await retryAfterOf(rig.lists.tags({ ...library, name: "library/other" }, "")), 40);
    assert.equal(hub.ledger.count(), asked);
    hub.knobs.abuse = undefined;
    await clock.advance(41 * seconds);
    await rig.manifests.head(library, tag("3"));
  });
}

test("the abuse limit on the first request of all is understood too", async (t) => {
  const abuse = { retryAfterSec: 40, bareLf: true, text: "Too Many Requests" };
  const { hub, rig } = await throttledRig(t, { abuse });
  assert.equal(await retryAfterOf(rig.manifests.head(library, tag("3"))), 40);
  assert.equal(hub.ledger.count(), 1);
});

test("an account locked for wrong logins stops that account, not the others", async (t) => {
  const { hub, rig } = await throttledRig(
    t,
    { loginFailuresMax: 1, accounts: [one] },
    {
      accounts: [accountOf({ ...one, password: "guess" })],
    },
  );
  assert.equal((await rig.manifests.head(library, tag("3"))).lane.access, "public");
  hub.knobs.loginFailuresMax = 5;
  assert.equal((await rig.manifests.head(library, tag("3"))).lane.access, "public");
});

test("ghcr's Retry-After, which is none, pauses its token server for a second", async (t) => {
  const { hub, rig, clock } = await throttledRig(t, { ...hubProfiles.ghcr });
  const headers = { "retry-after": "985µs, allowed: 44000/minute" };
  hub.faults.add({ kind: "token", beforeAuth: true }, { status: 429, headers });
  hub.faults.add({ kind: "token" }, { status: 429, headers });
  assert.equal(await retryAfterOf(rig.manifests.head(library, tag("3"))), 1);
  assert.equal(await retryAfterOf(rig.manifests.head(library, tag("3"))), 1);
  assert.equal(hub.ledger.count({ kind: "token" }), 1);
  hub.faults.clear();
  await clock.advance(1_001);
  await rig.manifests.head(library, tag("3"));
});

test("a 429 is never answered by trying again", async (t) => {
  const { hub, rig } = await throttledRig(t, {});
  hub.faults.add(
    { kind: "blob_get", times: "always" },
    { status: 429, body: '{"errors":[{"code":"TOOMANYREQUESTS"}]}' },
  );
  await assert.rejects(fetchBlob(rig, blobless), failsAs("throttled"));
  await assert.rejects(fetchBlob(rig, blobless), failsAs("throttled"));
  assert.equal(hub.ledger.count({ kind: "blob_get" }), 1);
});

test("the longest cool-down counts, and the keys of others don't", async () => {
  const clock = virtualClock();
  const coolDowns = makeCoolDowns("docker.io", clock);
  coolDowns.begin("a", 60);
  coolDowns.begin("a", 5);
  coolDowns.check("b");
  await clock.advance(30_000);
  assert.throws(() => coolDowns.check("b", "a"), failsAs("throttled"));
  await clock.advance(30_000);
  coolDowns.check("a");
});
