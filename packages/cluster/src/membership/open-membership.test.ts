import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import { beatBoard, virtualClock, type BeatBoard, type VirtualClock } from "@pullring/testkit";

import { ringOf, testMembers, urlOf, type TestMembers } from "./test-members.ts";

interface Cluster extends TestMembers {
  readonly clock: VirtualClock;
  readonly board: BeatBoard;
}

function cluster(t: TestContext): Cluster {
  const clock = virtualClock();
  const board = beatBoard(clock);
  const members = testMembers({ clock, beatsOf: (id) => board.of(id) });
  t.after(() => members.close());
  return { ...members, clock, board };
}

const digest = `sha256:${"a".repeat(64)}`;

test("a node that is alone owns every key", async (t) => {
  const { join } = cluster(t);
  const n1 = await join("n1");
  assert.equal(ringOf(n1), "n1");
  assert.deepEqual(n1.of(digest), ["n1"]);
  assert.deepEqual(n1.others(digest), []);
});

test("who joins is in everybody's ring within 3 s, hints or not, and all then agree", async (t) => {
  for (const isMute of [false, true]) {
    const { join, untilTrue, board } = cluster(t);
    board.isMute = isMute;
    const n1 = await join("n1");
    const n2 = await join("n2");
    const n3 = await join("n3");
    const tookMs = await untilTrue(() => [n1, n2, n3].every((node) => ringOf(node) === "n1 n2 n3"));
    assert.ok(tookMs <= 3_000, `${tookMs} ms`);
    if (!isMute) assert.ok(tookMs <= 500, `${tookMs} ms with hints`);
    assert.equal(new Set([n1, n2, n3].map((node) => node.ring().epoch)).size, 1);
    assert.deepEqual(n1.of(digest), n2.of(digest));
    assert.equal(n1.urlOf("n3"), urlOf("n3"));
    assert.equal(n1.urlOf("n1"), urlOf("n1"));
    assert.equal(n1.urlOf("stranger"), undefined);
  }
});

test("a node that joins can be asked for what it holds and owns nothing until it is active", async (t) => {
  const { join, open, until, untilTrue } = cluster(t);
  const n1 = await join("n1");
  const n2 = await open("n2");
  await untilTrue(() => n1.nodes().length === 2);
  assert.deepEqual([ringOf(n1), n1.others(digest), n1.of(digest)], ["n1", ["n2"], ["n1"]]);
  assert.deepEqual(
    n1.nodes().map(({ id, state, share }) => [id, state, share]),
    [
      ["n1", "active", 1],
      ["n2", "joining", 0],
    ],
  );
  assert.ok(n2.of(digest).includes("n2"), "self is always in its own list");
  assert.equal(await until(n2.activate()), true);
  await untilTrue(() => ringOf(n1) === "n1 n2");
});

test("who leaves is out of every ring within 3 s, is still asked until it is gone, and then is not", async (t) => {
  const { join, until, untilTrue, board } = cluster(t);
  const n1 = await join("n1");
  const n2 = await join("n2");
  await untilTrue(() => ringOf(n1) === "n1 n2");
  assert.equal(await until(n2.drain()), true);
  const tookMs = await untilTrue(() => ringOf(n1) === "n1");
  assert.ok(tookMs <= 3_000, `${tookMs} ms`);
  assert.equal(ringOf(n2), "n1", "who drains owns nothing in its own eyes either");
  assert.deepEqual(n2.of(digest), ["n1", "n2"]);
  assert.deepEqual(n1.others(digest), ["n2"]);
  await until(n2.leave());
  assert.deepEqual(board.ids(), ["n1"]);
  await untilTrue(() => n1.others(digest).length === 0);
  assert.equal(n1.urlOf("n2"), undefined);
});

test("who drains and is gone a moment later is out of every ring within 3 s, even where nobody read of it meanwhile", async (t) => {
  for (const drains of [true, false]) {
    const { join, until, untilTrue, board } = cluster(t);
    const [n1, n2, n3] = [await join("n1"), await join("n2"), await join("n3")];
    await untilTrue(() => [n1, n3].every((node) => ringOf(node) === "n1 n2 n3"));
    board.isMute = true;
    if (drains) await until(n2.drain());
    await until(n2.leave());
    const tookMs = await untilTrue(() => [n1, n3].every((node) => ringOf(node) === "n1 n3"));
    assert.ok(tookMs <= 3_000, `${tookMs} ms`);
    assert.deepEqual(n1.others(digest), ["n3"]);
  }
});

test("draining is undone by undrain, and a node alone never leaves its own ring", async (t) => {
  const { join, until, untilTrue, clock } = cluster(t);
  const n1 = await join("n1");
  const n2 = await join("n2");
  await untilTrue(() => ringOf(n1) === "n1 n2");
  await until(n2.drain());
  await untilTrue(() => ringOf(n1) === "n1");
  await clock.advance(10_000);
  await until(n2.undrain());
  assert.ok((await untilTrue(() => ringOf(n1) === "n1 n2")) <= 3_000);
  assert.equal(ringOf(n2), "n1 n2");
  await until(n2.leave());
  await untilTrue(() => ringOf(n1) === "n1");
  await until(n1.drain());
  assert.equal(ringOf(n1), "n1");
});

test("who crashes is out of every ring within 12 s, and not before its beats have run out", async (t) => {
  const { join, until, untilTrue } = cluster(t);
  const [n1, n2, n3] = [await join("n1"), await join("n2"), await join("n3")];
  await untilTrue(() => [n1, n2].every((node) => ringOf(node) === "n1 n2 n3"));
  await until(n3.close());
  const tookMs = await untilTrue(() => [n1, n2].every((node) => ringOf(node) === "n1 n2"));
  assert.ok(tookMs > 7_900 && tookMs <= 12_000, `${tookMs} ms`);
  assert.deepEqual(n1.nodes().length, 2);
});

test("a member that flaps moves the ring once in 10 s", async (t) => {
  const { join, until, untilTrue, clock } = cluster(t);
  const n1 = await join("n1");
  const n2 = await join("n2");
  await untilTrue(() => ringOf(n1) === "n1 n2");
  const changedAtMs: number[] = [];
  let epoch = n1.ring().epoch;
  n1.onChange(() => {
    if (n1.ring().epoch !== epoch) changedAtMs.push(clock.monotonic());
    epoch = n1.ring().epoch;
  });
  for (let flap = 0; flap < 10; flap += 1) {
    await until(flap % 2 === 0 ? n2.drain() : n2.undrain());
    await clock.advance(3_000);
  }
  assert.ok(changedAtMs.length >= 2, String(changedAtMs));
  for (const [index, atMs] of changedAtMs.entries())
    if (index > 0) assert.ok(atMs - changedAtMs[index - 1]! >= 10_000, String(changedAtMs));
  // The last word counts in the end.
  await until(n2.undrain());
  await clock.advance(12_000);
  assert.equal(ringOf(n1), "n1 n2");
});

test("a node that was killed and is back before it was missed moves no ring", async (t) => {
  const { join, open, until, untilTrue, clock } = cluster(t);
  const n1 = await join("n1");
  const old = await join("n2");
  await untilTrue(() => ringOf(n1) === "n1 n2");
  const epochs = new Set<string>();
  n1.onChange(() => void epochs.add(n1.ring().epoch));
  await until(old.close());
  for (const _ of [1, 2]) n1.report("n2", "refused");
  assert.deepEqual(n1.of(digest), ["n1"]);
  const n2 = await open("n2");
  await clock.advance(3_000);
  assert.equal(n1.nodes().find(({ id }) => id === "n2")?.state, "joining");
  assert.equal(n1.nodes().find(({ id }) => id === "n2")?.benched, false, "the new process starts with a clean name");
  await until(n2.activate());
  await clock.advance(3_000);
  assert.equal(ringOf(n1), "n1 n2");
  assert.ok([...epochs].every((epoch) => epoch === n1.ring().epoch));
});

test("a list of members is the ring, whoever is silent", async (t) => {
  const { join, clock, board } = cluster(t);
  const members = ["n1", "n2", "n3"].map((id) => ({ id, url: urlOf(id), ringName: `${id}:5000`, weight: 1 }));
  const n1 = await join("n1", { source: { members } });
  await clock.advance(60_000);
  assert.equal(ringOf(n1), "n1 n2 n3");
  assert.equal(board.exchanges, 0);
  assert.equal(await n1.drain(), false, "nobody can be told");
  assert.equal(ringOf(n1), "n2 n3");
  assert.equal(n1.of(digest).at(-1), "n1");
  assert.deepEqual(n1.status().reasons, []);
  await assert.rejects(join("n4", { source: { members } }), /lacks this node, n4/);
});

test("a benched peer is left out and the ring stays, until it says that it lives; no request finds that out", async (t) => {
  const { join, clock, untilTrue, greeting, logged } = cluster(t);
  const [n1, n2] = [await join("n1"), await join("n2")];
  await untilTrue(() => ringOf(n1) === "n1 n2");
  const key = Array.from({ length: 100 }, (_, index) => `k${index}`).find((found) => n1.ring().owner(found) === "n2")!;
  const { epoch } = n1.ring();
  n1.report("n2", "timeout");
  assert.deepEqual([n1.of(key), n1.others(key), n1.ring().epoch], [["n1"], [], epoch]);
  assert.equal(n1.nodes().find(({ id }) => id === "n2")?.benched, true);
  n1.report("n1", "timeout");
  assert.ok(n1.of(key).includes("n1"), "no node benches itself");
  await clock.advance(8_000);
  assert.deepEqual([n1.of(key), n1.others(key)], [["n1"], []], "silent still");
  greeting.add("n2");
  await clock.advance(1_000);
  assert.deepEqual([n1.of(key), n1.others(key)], [["n2", "n1"], ["n2"]]);
  assert.ok(logged.some((line) => line.includes("a peer answers again")));
  assert.equal(
    n2.nodes().every(({ benched }) => !benched),
    true,
    "no other node is told",
  );
  // And again, for whoever falls silent twice.
  greeting.delete("n2");
  n1.report("n2", "timeout");
  await clock.advance(3_000);
  assert.deepEqual(n1.of(key), ["n1"]);
  greeting.add("n2");
  await clock.advance(1_000);
  assert.deepEqual(n1.of(key), ["n2", "n1"]);
});

test("a benched member that is gone is asked no more, and comes again with a clean name", async (t) => {
  const { join, until, untilTrue, clock, logged } = cluster(t);
  const greeted: string[] = [];
  const greet = (_url: string, node: string): Promise<never> => {
    greeted.push(node);
    return Promise.reject(new Error("silent"));
  };
  const n1 = await join("n1", { greet });
  const n2 = await join("n2");
  await untilTrue(() => ringOf(n1) === "n1 n2");
  await until(n2.close());
  n1.report("n2", "timeout");
  await untilTrue(() => n1.urlOf("n2") === undefined);
  await clock.advance(2_000);
  const asked = greeted.length;
  assert.ok(asked > 5, `${asked} times`);
  await clock.advance(60_000);
  assert.equal(greeted.length, asked);
  await join("n2");
  await untilTrue(() => ringOf(n1) === "n1 n2");
  assert.deepEqual(
    n1.nodes().map(({ benched }) => benched),
    [false, false],
  );
  assert.ok(!logged.some((line) => line.includes("a peer answers again")));
});

test("epochs of a minute are counted, this node's own always among them", async (t) => {
  const { join, clock } = cluster(t);
  const n1 = await join("n1");
  assert.equal(n1.epochsSeen(), 1);
  n1.sawEpoch("0123456789abcdef");
  n1.sawEpoch(n1.ring().epoch);
  assert.equal(n1.epochsSeen(), 2);
  for (let index = 0; index < 10_000; index += 1) n1.sawEpoch(`e${index}`);
  assert.ok(n1.epochsSeen() <= 65, "a stranger's inventions are bounded");
  await clock.advance(60_001);
  assert.equal(n1.epochsSeen(), 1);
});

test("two ids with one ring name share a place instead of taking the ring down", async (t) => {
  const { join, until, untilTrue, clock } = cluster(t);
  const n1 = await join("n1");
  const one = { ringName: "host:5000", weight: 1, incarnation: "incarnation-a", version: "1" };
  const old = await join("pod-a", { self: { ...one, id: "pod-a", url: urlOf("host") } });
  await untilTrue(() => ringOf(n1) === "n1 pod-a");
  await until(old.close());
  const back = await join("pod-b", { self: { ...one, id: "pod-b", url: urlOf("host"), incarnation: "incarnation-b" } });
  await untilTrue(() => n1.nodes().length === 3);
  assert.equal(back.ring().epoch, n1.ring().epoch);
  assert.equal(ringOf(back), "n1 pod-b", "each is the one in its own ring");
  await clock.advance(12_000);
  assert.equal(ringOf(n1), "n1 pod-b");
});
