import assert from "node:assert/strict";
import { test } from "node:test";

import { laneBoards, virtualClock, type LaneBoards, type VirtualClock } from "@pullring/testkit";

import { makeCoolDowns } from "./cool-downs.ts";
import type { Egress } from "./egress.ts";
import { makeLaneTable } from "./lane-table.ts";
import { makeLanes } from "./lanes.ts";
import { makeLogins } from "./logins.ts";
import { makePayers } from "./payers.ts";
import { pauseKey } from "./sender.ts";
import { limits } from "./limits.ts";
import { accountOf, failsAs } from "./test-rig.ts";

type Rig = ReturnType<typeof rig>;

const quiet = { info: () => {}, warn: () => {}, error: () => {}, debug: () => {} };

interface NodeOptions {
  readonly node?: string;
  readonly egress?: readonly Egress[];
  readonly isCounted?: boolean;
  readonly boards?: LaneBoards;
  readonly clock?: VirtualClock;
  readonly password?: string;
}

function rig({
  node = "n1",
  egress = [{ name: "a" }],
  isCounted = true,
  boards,
  clock = virtualClock(),
  password = "first",
}: NodeOptions = {}) {
  const upstream = "docker.io";
  const down = new Set<string>();
  const lanes = makeLanes({ accounts: [accountOf({ username: "one", password })], egress, node, isAnonymous: true });
  const coolDowns = makeCoolDowns(upstream, clock);
  const onRefused = (account: string, seconds: number): void => table.refused(account, seconds);
  const [logins, payers] = [makeLogins({ upstream, clock, log: quiet, onRefused }), makePayers(upstream)];
  const isDown = ({ egress: { name } }: { egress: Egress }): boolean => down.has(name);
  const board = boards?.of(node);
  const table = makeLaneTable({ upstream, lanes, coolDowns, logins, payers, isDown, isCounted, board });
  const laneOf = (name: string) => lanes.all.find((lane) => lane.name === `${name}@${node}`) ?? assert.fail(name);
  const isPaused = (egressName: string): boolean => coolDowns.isCooling(pauseKey({ egress: { name: egressName } }));
  const learn = (name: string, source: string): void =>
    void payers.learn(laneOf(name), {
      status: 200,
      headers: { "docker-ratelimit-source": source },
      url: new URL("http://r.test"),
      direct: true,
    });
  return { clock, down, logins, table, board, laneOf, isPaused, learn };
}

test("a lane is told with its account, its way, its node and its budget, by the name that upstream gave it", () => {
  const { table, learn } = rig();
  learn("anonymous@a", "192.0.2.1");
  const [account, nobody] = table.facts();
  assert.deepEqual(account, {
    name: "one@a@n1",
    upstream: "docker.io",
    account: "one",
    egress: "a",
    node: "n1",
    budget: "docker.io account:one",
    source: undefined,
    unmetered: false,
    benched: undefined,
  });
  assert.deepEqual([nobody?.budget, nobody?.source], ["docker.io source:192.0.2.1", "192.0.2.1"]);
  assert.ok(
    rig({ isCounted: false })
      .table.facts()
      .every(({ budget }) => budget === undefined),
  );
});

test("a bench has its reason: a pause, a login that fails, a way that is dead; and it ends", async () => {
  const { clock, down, logins, table, laneOf } = rig();
  const benches = () => table.facts().map(({ benched }) => benched);
  assert.deepEqual(benches(), [undefined, undefined]);
  down.add("a");
  assert.deepEqual(benches(), ["egress", "egress"]);
  down.clear();
  logins.refuse((await logins.open(laneOf("one@a"))) ?? assert.fail());
  assert.deepEqual(benches(), ["login", undefined]);
  table.pause(laneOf("one@a"), 20);
  assert.deepEqual(benches(), ["paused", "paused"]);
  await clock.advance(20_000);
  assert.deepEqual(benches(), ["login", undefined]);
  await clock.advance(10_000);
  assert.deepEqual(benches(), [undefined, undefined]);
});

test("a pause holds for every way that upstream sees as the same address, on every node, and for no other", () => {
  const clock = virtualClock();
  const boards = laneBoards(clock);
  const egress = [{ name: "a" }, { name: "b" }, { name: "c" }];
  const [n1, n2] = [rig({ egress, boards, clock }), rig({ egress, boards, clock, node: "n2" })];
  n1.learn("anonymous@a", "192.0.2.1");
  n1.learn("anonymous@b", "192.0.2.1");
  n2.learn("anonymous@c", "192.0.2.1");
  // An account's source is the account and not the address.
  n1.learn("one@c", "192.0.2.1");
  n1.table.pause(n1.laneOf("one@a"), 60);
  const paused = [n1, n2].map(({ isPaused }) => ["a", "b", "c"].filter(isPaused));
  assert.deepEqual(paused, [["a", "b"], ["c"]]);
});

test("a pause of an address without a name holds for the same local address elsewhere, and not for a proxy of the same name", () => {
  const clock = virtualClock();
  const boards = laneBoards(clock);
  const egress: Egress[] = [
    { name: "a", localAddress: "192.0.2.1" },
    { name: "b", proxy: new URL("http://proxy:3128") },
  ];
  const [n1, n2] = [rig({ egress, boards, clock }), rig({ egress, boards, clock, node: "n2" })];
  for (const name of ["anonymous@a", "anonymous@b"]) n1.table.pause(n1.laneOf(name), 60);
  assert.deepEqual([n2.isPaused("a"), n2.isPaused("b")], [true, false]);
});

test("a pause holds for the same local address also where upstream has named it on one of the nodes only", () => {
  for (const told of ["n1", "n2"]) {
    const clock = virtualClock();
    const boards = laneBoards(clock);
    const egress = [{ name: "a", localAddress: "10.0.0.1" }];
    const [n1, n2] = [rig({ egress, boards, clock }), rig({ egress, boards, clock, node: "n2" })];
    (told === "n1" ? n1 : n2).learn("anonymous@a", "192.0.2.1");
    n1.table.pause(n1.laneOf("one@a"), 60);
    assert.deepEqual([n1.isPaused("a"), n2.isPaused("a")], [true, true], `told to ${told}`);
  }
});

test("a node without others pauses by itself whatever upstream sees as one address", () => {
  const alone = rig({ egress: [{ name: "a" }, { name: "b" }, { name: "c" }] });
  for (const name of ["anonymous@a", "anonymous@b"]) alone.learn(name, "192.0.2.1");
  alone.table.pause(alone.laneOf("one@a"), 60);
  assert.deepEqual(["a", "b", "c"].map(alone.isPaused), [true, true, false]);
  assert.deepEqual(alone.table.others(), []);
});

test("a node that is closed hears of no more pauses", () => {
  const clock = virtualClock();
  const boards = laneBoards(clock);
  const egress = [{ name: "a", localAddress: "192.0.2.1" }];
  const [n1, n2] = [rig({ egress, boards, clock }), rig({ egress, boards, clock, node: "n2" })];
  n2.table.close();
  n1.table.pause(n1.laneOf("one@a"), 60);
  assert.equal(n2.isPaused("a"), false);
});

test("of other nodes' lanes only those of this upstream are told", () => {
  const boards = laneBoards(virtualClock());
  const { table } = rig({ boards });
  const [lane] = rig({ node: "n2" }).table.facts();
  assert.ok(lane);
  boards.of("n2").publish([lane, { ...lane, name: "x", upstream: "ghcr.io" }]);
  assert.deepEqual(table.others(), [lane]);
});

test("an account that one node was refused with is tried by none until its pause is over, and then rests for longer", async () => {
  const clock = virtualClock();
  const boards = laneBoards(clock);
  const [first, second] = ["n1", "n2"].map((node) => rig({ node, boards, clock })) as [Rig, Rig];
  const [here, there] = [first.laneOf("one@a"), second.laneOf("one@a")];
  const login = (await first.logins.open(here)) ?? assert.fail();
  first.logins.refuse(login);
  await assert.rejects(first.logins.open(here), failsAs("unavailable"));
  await assert.rejects(second.logins.open(there), failsAs("unavailable"));
  assert.equal(second.table.facts()[0]?.benched, "login");
  await clock.advance(limits.benchMs + 1);
  second.logins.refuse((await second.logins.open(there)) ?? assert.fail());
  await clock.advance(limits.benchMs + 1);
  await assert.rejects(first.logins.open(here), failsAs("unavailable"));
  await clock.advance(limits.benchMs);
  assert.ok(await first.logins.open(here));
});

test("what another node was refused with says nothing of credentials that were taken here", async () => {
  const clock = virtualClock();
  const boards = laneBoards(clock);
  const [first, second] = [rig({ node: "n1", boards, clock }), rig({ node: "n2", boards, clock, password: "other" })];
  const [here, there] = [first.laneOf("one@a"), second.laneOf("one@a")];
  second.logins.accept((await second.logins.open(there)) ?? assert.fail());
  first.logins.refuse((await first.logins.open(here)) ?? assert.fail());
  assert.ok(await second.logins.open(there));
  assert.equal(second.table.facts()[0]?.benched, undefined);
});
