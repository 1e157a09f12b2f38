import assert from "node:assert/strict";
import { test } from "node:test";

import { virtualClock } from "@pullring/testkit";

import { accountOf, failsAs, hubRig, library, tag } from "./test-rig.ts";

const one = { username: "one", password: "first", repositories: ["acme/**"] };
const two = { username: "two", password: "second", repositories: ["beta/**"] };
const wrong = { username: "one", password: "guess" };
const acme = { upstream: "docker.io", name: "acme/app" };
const beta = { upstream: "docker.io", name: "beta/app" };

test("accounts without patterns are asked in order, and account lanes need links", async (t) => {
  const { hub, rig } = await hubRig(t, { hub: { accounts: [one, two] }, accounts: [accountOf(one), accountOf(two)] });
  hub.content.addImage({ repository: library.name, tag: "3", layers: [] });
  const { lane } = await rig.manifests.head(library, tag("3"));
  assert.deepEqual(lane, { name: "one@default@n1", access: "linked" });
});

test("without accounts the lane is anonymous, and what it brings is public", async (t) => {
  const { hub, rig } = await hubRig(t);
  hub.content.addImage({ repository: library.name, tag: "3", layers: [] });
  const { lane } = await rig.manifests.head(library, tag("3"));
  assert.deepEqual(lane, { name: "anonymous@default@n1", access: "public" });
});

test("an account with patterns pulls what they match, alone, and nothing else", async (t) => {
  const accounts = [accountOf(one, { repositories: ["acme/**"] })];
  const { hub, rig } = await hubRig(t, { hub: { accounts: [one] }, accounts });
  for (const { name } of [library, acme]) hub.content.addImage({ repository: name, tag: "3", layers: [] });
  assert.equal((await rig.manifests.head(acme, tag("3"))).lane.name, "one@default@n1");
  assert.equal((await rig.manifests.head(library, tag("3"))).lane.name, "anonymous@default@n1");
  hub.content.addRepository({ repository: acme.name, private: true });
  await assert.rejects(rig.manifests.head(acme, tag("none")), failsAs("missing"));
  assert.equal(
    hub.ledger.count(({ repository, account }) => repository === acme.name && account === undefined),
    0,
  );
});

test("a wrong password is tried once, the next lane is asked, and the account is benched for longer each time", async (t) => {
  const clock = virtualClock();
  const { hub, rig } = await hubRig(t, { clock, hub: { accounts: [one] }, accounts: [accountOf(wrong)] });
  hub.content.addImage({ repository: library.name, tag: "3", layers: [] });
  const logins = (): number => hub.ledger.count({ kind: "token", authorization: "basic" });
  for (const [pauseSec, expected] of [
    [0, 1],
    [29, 1],
    [2, 2],
    [58, 2],
    [3, 3],
  ] as const) {
    await clock.advance(pauseSec * 1000);
    assert.equal((await rig.manifests.head(library, tag("3"))).lane.name, "anonymous@default@n1");
    assert.equal(logins(), expected);
  }
  assert.match(rig.logged(), /refuses the credentials/);
});

test("a new password ends the bench at once", async (t) => {
  let password = "guess";
  const accounts = [accountOf(one, { password: { read: () => Promise.resolve(password) } })];
  const { hub, rig } = await hubRig(t, { hub: { accounts: [one] }, accounts });
  hub.content.addImage({ repository: acme.name, tag: "3", layers: [], private: true });
  await assert.rejects(rig.manifests.head(acme, tag("3")), failsAs("unavailable", "refused"));
  password = one.password;
  assert.equal((await rig.manifests.head(acme, tag("3"))).lane.name, "one@default@n1");
});

test("a password that can't be read benches the account, and says so without it", async (t) => {
  const accounts = [accountOf(one, { password: { read: () => Promise.reject(new Error("EACCES /run/secrets/x")) } })];
  const { hub, rig } = await hubRig(t, { hub: { accounts: [one] }, accounts });
  hub.content.addImage({ repository: library.name, tag: "3", layers: [] });
  assert.equal((await rig.manifests.head(library, tag("3"))).lane.access, "public");
});

test("a benched account is no reason to call its repositories missing", async (t) => {
  const { hub, rig } = await hubRig(t, { hub: { accounts: [one] }, accounts: [accountOf(wrong)] });
  hub.content.addImage({ repository: acme.name, tag: "3", layers: [], private: true });
  for (let times = 0; times < 2; times += 1)
    await assert.rejects(rig.manifests.head(acme, tag("3")), failsAs("unavailable", "refused"));
});

test("what one account does not see another may, and is asked first from then on", async (t) => {
  const { hub, rig } = await hubRig(t, { hub: { accounts: [one, two] }, accounts: [accountOf(one), accountOf(two)] });
  hub.content.addImage({ repository: beta.name, tag: "3", layers: [], private: true });
  for (let times = 0; times < 3; times += 1)
    assert.equal((await rig.manifests.head(beta, tag("3"))).lane.name, "two@default@n1");
  const asked = hub.ledger.filter({ kind: "manifest_head" }).map(({ status }) => status);
  assert.deepEqual(asked, [401, 200, 200, 200]);
});

test("no request asks by more than two lanes", async (t) => {
  const all = [one, two, { username: "three", password: "third" }];
  const { hub, rig } = await hubRig(t, { hub: { accounts: all }, accounts: all.map((account) => accountOf(account)) });
  await assert.rejects(rig.manifests.head({ ...acme, name: "gamma/app" }, tag("3")), failsAs("missing", "refused"));
  assert.equal(hub.ledger.count({ kind: "manifest_head" }), 2);
});

test("a tag that is not there is asked for by one lane when the other is anonymous", async (t) => {
  const { hub, rig } = await hubRig(t, { hub: { accounts: [one] }, accounts: [accountOf(one)] });
  hub.content.addImage({ repository: library.name, tag: "3", layers: [] });
  await assert.rejects(rig.manifests.head(library, tag("nope")), failsAs("missing", "down"));
  assert.equal(hub.ledger.count({ kind: "manifest_head" }), 1);
});

test("Basic alone: the password goes to the registry, and to nobody else", async (t) => {
  const { hub, rig } = await hubRig(t, {
    hub: { auth: "basic", accounts: [one], redirect: true },
    accounts: [accountOf(one)],
  });
  const image = hub.content.addImage({ repository: acme.name, tag: "3", layers: [50], private: true });
  await rig.manifests.get(acme, tag("3"));
  const sink = { head: () => {}, write: () => {} };
  await rig.blobs.get({ repository: acme, digest: image.layers[0]?.digest as never, offset: 0 }, sink);
  assert.equal(hub.ledger.count({ authorization: "basic", origin: ["cdn0", "cdn1", "token"] }), 0);
  assert.equal(hub.ledger.count({ authorization: "basic", origin: "registry" }), 2);
});

test("Basic alone with a wrong password benches the account; without one it is not there", async (t) => {
  const { hub, rig } = await hubRig(t, { hub: { auth: "basic", accounts: [one] }, accounts: [accountOf(wrong)] });
  hub.content.addImage({ repository: acme.name, tag: "3", layers: [] });
  for (let times = 0; times < 3; times += 1)
    await assert.rejects(rig.manifests.head(acme, tag("3")), failsAs("unavailable", "refused"));
  assert.equal(hub.ledger.count({ authorization: "basic" }), 1);
});
