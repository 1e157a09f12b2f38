import assert from "node:assert/strict";
import { test } from "node:test";

import { PullringError } from "@pullring/core";
import { virtualClock } from "@pullring/testkit";

import { makeCoolDowns } from "./cool-downs.ts";
import { makeLaneChoice, pick } from "./lane-choice.ts";
import { makeLanes, type AccountLane } from "./lanes.ts";
import { limits } from "./limits.ts";
import { makeLogins } from "./logins.ts";
import { coolDownKey, pauseKey } from "./sender.ts";
import { accountOf, failsAs } from "./test-rig.ts";

const quiet = { info: () => {}, warn: () => {}, error: () => {}, debug: () => {} };
const wanted = (repository: string, kind: "manifest_get" | "blob_get" = "manifest_get") =>
  ({ kind, repository }) as const;

/** Anonymous lanes by so many egresses: `a`, `b`, … */
function rig(egress: string, accounts = [] as ReturnType<typeof accountOf>[]) {
  const clock = virtualClock();
  const down = new Set<string>();
  const ways = egress.split("").map((name) => ({ name }));
  const lanes = makeLanes({ accounts, egress: ways, node: "n1", isAnonymous: accounts.length === 0 });
  const coolDowns = makeCoolDowns("docker.io", clock);
  const logins = makeLogins({ upstream: "docker.io", clock, log: quiet, onRefused: () => {} });
  const isDown = (lane: AccountLane): boolean => down.has(lane.egress.name);
  const choice = makeLaneChoice({ lanes, coolDowns, logins, isDown, clock });
  const asked: string[] = [];

  /** Asks for a repository by egresses that answer as told; the others answer well. */
  async function ask(repository: string, answers: Readonly<Record<string, PullringError>> = {}): Promise<string> {
    return choice.over(wanted(repository), async (lane) => {
      asked.push(lane.egress.name);
      const error = answers[lane.egress.name];
      if (error) throw error;
      return lane.egress.name;
    });
  }
  return { clock, down, lanes, coolDowns, logins, choice, asked, ask };
}

const throttled = new PullringError("throttled", "429");
const missing = new PullringError("missing", "404");
const dead = new PullringError("unavailable", "down");
const slow = new PullringError("unavailable", "slow", { reason: "timeout" });

test("the lane used least recently asks, and who answered for a repository goes on to for ten minutes", async () => {
  const { ask, clock } = rig("abc");
  assert.deepEqual([await ask("one"), await ask("two"), await ask("three"), await ask("four")], ["a", "b", "c", "a"]);
  assert.deepEqual([await ask("two"), await ask("two")], ["b", "b"]);
  await clock.advance(limits.seenByMs + 1);
  assert.equal(await ask("two"), "c");
});

test("a throttled lane is followed by one other and no third", async () => {
  const { ask, asked } = rig("abc");
  await assert.rejects(ask("one", { a: throttled, b: throttled }), failsAs("throttled"));
  assert.deepEqual(asked, ["a", "b"]);
});

test("who stood in for a throttled lane does not become the first one", async () => {
  const { ask } = rig("ab");
  assert.equal(await ask("one"), "a");
  assert.equal(await ask("one", { a: throttled }), "b");
  assert.equal(await ask("one"), "a");
});

test("a lane in a cool-down or a pause is passed over, and does not count as one that asked", async () => {
  const { ask, asked, lanes, coolDowns } = rig("abcd");
  const [a, b] = lanes.all;
  assert.ok(a && b);
  coolDowns.begin(coolDownKey(a, "manifest_get"), 60);
  coolDowns.begin(pauseKey(b), 60);
  assert.equal(await ask("one", { c: throttled }), "d");
  assert.deepEqual(asked, ["c", "d"]);
});

test("a lane that can't get there comes last, and is asked where nobody else is", async () => {
  const { ask, asked, down, choice, lanes } = rig("ab");
  down.add("a");
  assert.equal(await ask("one"), "b");
  assert.deepEqual(await choice.ready(wanted("three"), []), [lanes.all[1]]);
  down.add("b");
  await assert.rejects(ask("two", { a: dead, b: dead }), failsAs("unavailable", "down"));
  assert.deepEqual(asked, ["b", "a", "b"]);
  assert.equal((await choice.ready(wanted("three"), [])).length, 2);
});

test("an upstream that fails by itself is not asked by another lane", async () => {
  const { ask, asked } = rig("ab");
  await assert.rejects(ask("one", { a: slow }), failsAs("unavailable", "timeout"));
  assert.deepEqual(asked, ["a"]);
});

test("by another address nobody sees more than by this one; by another account perhaps", async () => {
  const nobody = rig("ab");
  await assert.rejects(nobody.ask("one", { a: missing }), failsAs("missing"));
  assert.deepEqual(nobody.asked, ["a"]);
  const accounts = ["one", "two"].map((username) => accountOf({ username, password: "x" }));
  const { choice } = rig("a", accounts);
  const seen: string[] = [];
  const answer = choice.over(wanted("one"), async (lane) => {
    seen.push(lane.name);
    if (lane.account?.name === "one") throw missing;
    return lane.name;
  });
  assert.equal(await answer, "two@a@n1");
  assert.deepEqual(seen, ["one@a@n1", "two@a@n1"]);
});

test("what keeps a lane from answering is told before another lane's not there", () => {
  assert.equal(pick([missing, throttled]), throttled);
  assert.equal(pick([missing]), missing);
  assert.equal(pick([]).code, "unavailable");
});

test("those that may ask now are told in their order, with what keeps the others", async () => {
  const accounts = ["one", "two", "three"].map((username) => accountOf({ username, password: "x" }));
  const { choice, lanes, logins, coolDowns } = rig("a", accounts);
  const [one, two, three] = lanes.all;
  assert.ok(one && two && three);
  const login = await logins.open(one);
  logins.refuse(login ?? assert.fail());
  coolDowns.begin(coolDownKey(two, "manifest_get"), 60);
  const errors: PullringError[] = [];
  assert.deepEqual(await choice.ready(wanted("x"), errors), [three]);
  assert.deepEqual(
    errors.map(({ code }) => code),
    ["unavailable", "throttled"],
  );
  // A pull limit is one of manifests.
  assert.deepEqual(await choice.ready(wanted("x", "blob_get"), []), [two, three]);
});
