import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import { beatBoard, virtualClock, type BeatBoard, type VirtualClock } from "@pullring/testkit";

import type { Membership } from "./membership.ts";
import { memoryDisk, ringOf, testMembers, type TestMembers } from "./test-members.ts";

interface Cluster extends TestMembers {
  readonly clock: VirtualClock;
  readonly board: BeatBoard;
  readonly nodes: readonly Membership[];
  /** Every ring that a node of the three had since, as its members. */
  readonly rings: Set<string>;
}

/** Three nodes that agree, a moment after. */
async function cluster(t: TestContext): Promise<Cluster> {
  const clock = virtualClock();
  const board = beatBoard(clock);
  const members = testMembers({ clock, beatsOf: (id) => board.of(id) });
  t.after(() => members.close());
  const nodes = [await members.join("n1"), await members.join("n2"), await members.join("n3")];
  await members.untilTrue(() => nodes.every((node) => ringOf(node) === all));
  await clock.advance(15_000);
  const rings = new Set<string>();
  for (const node of nodes) node.onChange(() => void rings.add(ringOf(node)));
  return { ...members, clock, board, nodes, rings };
}

const all = "n1 n2 n3";
const onlyAll = (rings: Set<string>): void =>
  assert.deepEqual(
    [...rings, all].filter((ring) => ring !== all),
    [],
  );

test("the ring stands still while Redis is away, for however long, and when it is back", async (t) => {
  for (const awayMs of [3_000, 30_000, 600_000]) {
    const { board, clock, nodes, rings, logged } = await cluster(t);
    board.isDown = true;
    await clock.advance(awayMs);
    const status = nodes[0]!.status();
    assert.ok(status.frozenForMs! >= awayMs - 2_000 && status.frozenForMs! <= awayMs, String(status.frozenForMs));
    assert.match(status.reasons.join(), /members can't be read/);
    board.isDown = false;
    await clock.advance(30_000);
    onlyAll(rings);
    assert.deepEqual(nodes[0]!.status().reasons, []);
    assert.equal(logged.filter((line) => line.includes("can't be read")).length, 3, "once for each node");
  }
});

test("a member that was lost while Redis was away is missed only after it had its time to be heard", async (t) => {
  const { board, clock, nodes, until, untilTrue } = await cluster(t);
  board.isDown = true;
  await until(nodes[2]!.close());
  await clock.advance(60_000);
  board.isDown = false;
  const tookMs = await untilTrue(() => nodes.slice(0, 2).every((node) => ringOf(node) === "n1 n2"));
  assert.ok(tookMs >= 10_000 && tookMs <= 14_500, `${tookMs} ms`);
});

test("a wipe of Redis takes nobody out of the ring, and is told", async (t) => {
  const { board, clock, rings, logged } = await cluster(t);
  for (let times = 0; times < 3; times += 1) {
    board.wipe();
    await clock.advance(3_000);
  }
  await clock.advance(30_000);
  onlyAll(rings);
  assert.ok(logged.some((line) => line.includes("Redis has forgotten")));
});

test("a wipe of Redis is no reason to be called degraded any more when all members are back", async (t) => {
  const { board, clock, nodes, untilTrue } = await cluster(t);
  const reasons = (): string => nodes[0]!.status().reasons.join();
  board.severed.add("n3");
  await clock.advance(1_000);
  board.wipe();
  await untilTrue(() => /Redis had forgotten the members, and not all are back: .*n3/.test(reasons()));
  board.severed.clear();
  const tookMs = await untilTrue(() => reasons() === "");
  assert.ok(tookMs <= 5_000, `${tookMs} ms`);
});

test("a member that can't reach the wiped Redis keeps its place for the time that it has to be heard", async (t) => {
  const { board, clock, nodes, untilTrue } = await cluster(t);
  board.severed.add("n3");
  await clock.advance(8_000);
  board.wipe();
  await clock.advance(9_000);
  assert.equal(ringOf(nodes[0]!), all);
  await untilTrue(() => ringOf(nodes[0]!) === "n1 n2");
  assert.equal(ringOf(nodes[2]!), all, "who is cut off keeps the ring that it saw");
  board.severed.clear();
  await clock.advance(12_000);
  for (const node of nodes) assert.equal(ringOf(node), all);
});

test("readings that fail now and then take nobody out of the ring", async (t) => {
  const { board, clock, nodes, untilTrue } = await cluster(t);
  board.severed.add("n3");
  for (let times = 0; times < 12; times += 1) {
    board.severed.add("n1");
    await clock.advance(2_500);
    board.severed.delete("n1");
    await clock.advance(2_500);
    assert.equal(ringOf(nodes[0]!), all);
  }
  await untilTrue(() => ringOf(nodes[0]!) === "n1 n2");
});

test("an answer that is empty, or none, is no reading", async (t) => {
  for (const reply of [
    null,
    [],
    "OK",
    ["generation-1"],
    ["generation-1", 1, "n1"],
    [1, 1],
    ["generation-1", 2],
    [[], 1],
  ]) {
    const { board, clock, nodes, rings } = await cluster(t);
    board.lie = { reply };
    await clock.advance(60_000);
    onlyAll(rings);
    assert.ok(nodes[0]!.status().frozenForMs! > 50_000, JSON.stringify(reply));
  }
});

test("nobody leaves the ring because Redis' clock was set, by seconds or an hour, either way", async (t) => {
  for (const offsetMs of [15_000, -15_000, 3_600_000, -3_600_000]) {
    const { board, clock, rings, until, nodes, untilTrue } = await cluster(t);
    board.clockOffsetMs = offsetMs;
    await clock.advance(60_000);
    onlyAll(rings);
    await until(nodes[2]!.close());
    const tookMs = await untilTrue(() => ringOf(nodes[0]!) === "n1 n2");
    assert.ok(tookMs <= 12_000, `${tookMs} ms`);
  }
});

test("a node that slept for a minute believes nobody gone, and is back in the others' ring when it beats", async (t) => {
  const { board, clock, nodes } = await cluster(t);
  board.severed.add("n1");
  await clock.advance(60_000);
  assert.equal(ringOf(nodes[1]!), "n2 n3");
  assert.equal(ringOf(nodes[0]!), all);
  board.severed.clear();
  await clock.advance(3_000);
  for (const node of nodes) assert.equal(ringOf(node), all);
});

test("a start without Redis has the ring from disk; with Redis it has the truth", async (t) => {
  const { board, clock, join, nodes, until, untilTrue } = await cluster(t);
  const disk = memoryDisk();
  const n4 = await join("n4", { lastRing: disk });
  await untilTrue(() => ringOf(n4) === "n1 n2 n3 n4");
  await until(n4.close());
  board.isDown = true;
  const again = await join("n4", { lastRing: disk });
  assert.equal(ringOf(again), "n1 n2 n3 n4");
  assert.equal(again.urlOf("n1"), "http://n1:5002");
  assert.match(again.status().reasons.join(), /the ring stays as it was/);
  await until(again.close());
  board.isDown = false;
  await until(nodes[2]!.leave());
  await clock.advance(12_000);
  const third = await join("n4", { lastRing: disk });
  assert.equal(ringOf(third), "n1 n2 n4", "who left in the meantime is not dug out");
});

test("a start beside a wiped Redis gives those on disk their time to be heard", async (t) => {
  const { board, clock, join, until, untilTrue } = await cluster(t);
  const disk = memoryDisk();
  const n4 = await join("n4", { lastRing: disk });
  await untilTrue(() => ringOf(n4) === "n1 n2 n3 n4");
  await until(n4.close());
  board.wipe();
  const again = await join("n4", { lastRing: disk });
  assert.equal(ringOf(again), "n1 n2 n3 n4");
  await clock.advance(20_000);
  assert.equal(ringOf(again), "n1 n2 n3 n4");
});

test("a disk that is broken, or holds nonsense, stops no start", async (t) => {
  const { board, join, until, clock } = await cluster(t);
  board.isDown = true;
  const broken = { load: () => Promise.reject(new Error("EIO")), save: () => Promise.reject(new Error("EIO")) };
  const lying = memoryDisk({
    generation: "generation-1",
    members: [{ id: "../x" }, 1, { id: "n2", url: "http://u:p@n2", ringName: "n2", weight: 1 }],
  });
  for (const lastRing of [broken, lying, memoryDisk("x"), memoryDisk({ members: 1 })]) {
    const node = await join("n5", { lastRing });
    assert.equal(ringOf(node), "n5");
    await until(node.close());
  }
  board.isDown = false;
  const node = await join("n5", { lastRing: broken });
  await clock.advance(10_000);
  assert.equal(ringOf(node), "n1 n2 n3 n5");
});
