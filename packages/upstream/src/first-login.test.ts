import assert from "node:assert/strict";
import { test } from "node:test";

import { virtualClock } from "@pullring/testkit";

import { makeFirstLogin } from "./first-login.ts";
import { makeLanes } from "./lanes.ts";
import { makeLogins } from "./logins.ts";
import { accountOf } from "./test-rig.ts";

const quiet = { info: () => {}, warn: () => {}, error: () => {}, debug: () => {} };

async function rig() {
  const accounts = [accountOf({ username: "one", password: "first" })];
  const egress = [{ name: "a" }, { name: "b" }, { name: "c" }];
  const lanes = makeLanes({ accounts, egress, node: "n1", isAnonymous: false }).all;
  const logins = makeLogins({ upstream: "docker.io", clock: virtualClock(), log: quiet, onRefused: () => {} });
  const inTurn = makeFirstLogin(logins);
  const askers = await Promise.all(lanes.map(async (lane) => ({ lane, login: await logins.open(lane) })));
  let [asked, atOnce, most] = [0, 0, 0];
  /** All lanes at the same time. */
  const askAll = (ask: (login: NonNullable<(typeof askers)[0]["login"]>) => unknown) =>
    Promise.allSettled(
      askers.map(({ lane, login }) =>
        inTurn({ lane, login }, async () => {
          [asked, atOnce] = [asked + 1, atOnce + 1];
          most = Math.max(most, atOnce);
          await Promise.resolve();
          atOnce -= 1;
          assert.ok(login);
          return ask(login);
        }),
      ),
    );
  return { logins, askAll, counts: () => [asked, most] };
}

const reasonsOf = (results: readonly PromiseSettledResult<unknown>[]): readonly unknown[] =>
  results.map((result) => (result.status === "rejected" ? (result.reason as { reason: string }).reason : undefined));

test("a wrong password is shown once, by whichever lane comes first, and the others are told of it", async () => {
  const { logins, askAll, counts } = await rig();
  const results = await askAll((login) => {
    throw logins.refuse(login);
  });
  assert.deepEqual(reasonsOf(results), ["refused", "refused", "refused"]);
  assert.deepEqual(counts(), [1, 1]);
});

test("one that was taken is shown by all lanes at once", async () => {
  const { logins, askAll, counts } = await rig();
  await askAll((login) => logins.accept(login));
  assert.deepEqual(counts(), [3, 2]);
  await askAll(() => {});
  assert.deepEqual(counts(), [6, 3]);
});

test("what says nothing of the password leaves the next lane to show it", async () => {
  const { askAll, counts } = await rig();
  const results = await askAll(() => Promise.reject(new Error("reset")));
  assert.ok(results.every(({ status }) => status === "rejected"));
  assert.deepEqual(counts(), [3, 1]);
});
