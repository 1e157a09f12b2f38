import assert from "node:assert/strict";
import { test } from "node:test";

import { hashSync, verify } from "@node-rs/bcrypt";
import { eventually, virtualClock } from "@pullring/testkit";

import { makeBasicAuth, type Verdict } from "./basic-auth.ts";

const cheap = (password: string): string => hashSync(password, { cost: 4, version: "2y" });
const login = (text: string): string => `Basic ${Buffer.from(text).toString("base64")}`;
const here = "192.0.2.1";
const ci: Verdict = { kind: "user", name: "ci" };
const refused: Verdict = { kind: "refused" };

/** Real bcrypt, counted; `held` keeps verifications running until it is released. */
function start() {
  const clock = virtualClock();
  const users = new Map([["ci", cheap("pässword")]]);
  const verified: string[] = [];
  const held = { now: false, release: [] as (() => void)[] };
  const auth = makeBasicAuth({
    users: { current: () => users },
    clock,
    async verifyPassword(password, hash) {
      verified.push(hash);
      if (held.now) await new Promise<void>((resolve) => held.release.push(resolve));
      return verify(password, hash);
    },
  });
  return { auth, clock, users, verified, held };
}

test("the right password lets its user in, any other does not", async () => {
  const { auth } = start();
  assert.deepEqual(await auth.check(login("ci:pässword"), here), ci);
  assert.deepEqual(await auth.check(login("ci:password"), here), refused);
  assert.deepEqual(await auth.check(login("ci:"), here), refused);
  assert.deepEqual(await auth.check(login("dev:pässword"), here), refused);
});

test("a header without a login is refused and costs nothing", async () => {
  const { auth, verified } = start();
  const headers = [
    undefined,
    "",
    "Basic",
    "Basic !",
    "Bearer abc",
    login("ci"),
    login(":x"),
    login("ci:\0"),
    login("ci:a\n"),
  ];
  for (const header of [...headers, login(`ci:${"x".repeat(2000)}`)])
    for (let times = 0; times < 20; times++)
      assert.deepEqual(await auth.check(header, here), refused, header ?? "none");
  assert.equal(verified.length, 0);
  assert.deepEqual(await auth.check(login("ci:pässword"), here), ci, "and they are no failures");
});

test("a login that was right is not verified again for a minute", async () => {
  const { auth, clock, verified } = start();
  for (let times = 0; times < 20; times++) assert.deepEqual(await auth.check(login("ci:pässword"), here), ci);
  assert.equal(verified.length, 1);
  await clock.advance(60_000);
  await auth.check(login("ci:pässword"), here);
  assert.equal(verified.length, 2);
});

test("a user who is removed, or gets another password, is out at once", async () => {
  const { auth, users } = start();
  await auth.check(login("ci:pässword"), here);
  users.set("ci", cheap("another"));
  assert.deepEqual(await auth.check(login("ci:pässword"), here), refused);
  assert.deepEqual(await auth.check(login("ci:another"), here), ci);
  users.clear();
  assert.deepEqual(await auth.check(login("ci:another"), here), refused);
});

test("requests with one login at the same time are one verification", async () => {
  const { auth, verified } = start();
  const verdicts = await Promise.all(Array.from({ length: 20 }, () => auth.check(login("ci:pässword"), here)));
  assert.deepEqual(new Set(verdicts.map(({ kind }) => kind)), new Set(["user"]));
  assert.equal(verified.length, 1);
});

test("after ten failures a client waits, whatever it knows, and nobody else does", async () => {
  const { auth, clock, verified } = start();
  for (let times = 0; times < 10; times++)
    assert.deepEqual(await auth.check(login(`ci:wrong ${times}`), here), refused);
  await clock.advance(15_000);
  const throttled = { kind: "throttled", retryAfterSec: 45 };
  assert.deepEqual(await auth.check(login("ci:wrong"), here), throttled);
  assert.deepEqual(await auth.check(login("ci:pässword"), here), throttled);
  assert.equal(verified.length, 10);
  assert.deepEqual(await auth.check(login("ci:pässword"), "192.0.2.2"), ci);
  assert.deepEqual(await auth.check(login("ci:pässword"), here), ci, "a remembered login needs no attempt");
  await clock.advance(60_000);
  assert.deepEqual(await auth.check(login("ci:pässword"), here), ci);
});

test("many guesses at the same time are no way around the limit", async () => {
  const { auth, verified } = start();
  const verdicts = await Promise.all(Array.from({ length: 50 }, (_, index) => auth.check(login(`ci:${index}`), here)));
  assert.equal(verdicts.filter(({ kind }) => kind === "throttled").length, 40);
  assert.equal(verified.length, 10);
});

test("right logins never use up the failures of a shared address", async () => {
  const { auth, users } = start();
  for (let index = 0; index < 12; index++) {
    users.set(`user${index}`, cheap(`password${index}`));
    assert.deepEqual((await auth.check(login(`user${index}:password${index}`), here)).kind, "user");
  }
});

test("an unknown user costs what a known one costs, even when the file is empty", async () => {
  const { auth, users, verified } = start();
  await auth.check(login("nobody:pässword"), here);
  assert.deepEqual(verified, [users.get("ci")], "a hash of the same cost");
  users.clear();
  assert.deepEqual(await auth.check(login("nobody:x"), here), refused);
  assert.equal(verified.length, 2);
  assert.match(verified[1] ?? "", /^\$2b\$10\$[./A-Za-z0-9]{53}$/);
});

test("few verifications run at once, some wait, the rest is turned away", async () => {
  const { auth, held, verified } = start();
  held.now = true;
  const verdicts = Array.from({ length: 70 }, (_, index) => auth.check(login("ci:pässword"), `192.0.2.${index}`));
  await eventually(() => held.release.length === 2);
  const turnedAway = await Promise.all(verdicts.slice(66));
  assert.deepEqual(new Set(turnedAway.map(({ kind }) => kind)), new Set(["throttled"]));
  assert.equal(verified.length, 2);
  held.now = false;
  for (const release of held.release) release();
  const admitted = await Promise.all(verdicts.slice(0, 66));
  assert.deepEqual(new Set(admitted.map(({ kind }) => kind)), new Set(["user"]));
});

test("the main thread is free while a password is verified", async () => {
  const { auth, users } = start();
  users.set("slow", hashSync("x", { cost: 11, version: "2y" }));
  let turns = 0;
  let running = true;
  const verdict = auth.check(login("slow:x"), here).finally(() => (running = false));
  while (running) {
    await new Promise(setImmediate);
    turns += 1;
  }
  assert.deepEqual(await verdict, { kind: "user", name: "slow" });
  assert.ok(turns > 20, `${turns} turns of the event loop`);
});
