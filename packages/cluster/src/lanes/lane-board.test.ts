import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import type { LaneFacts, Pause } from "@pullring/core";
import { laneBoardSuite, sampleLane, virtualClock, type VirtualClock } from "@pullring/testkit";
import fc from "fast-check";

import { laneLimits as limits } from "../limits.ts";
import type { BoardStore } from "./board-store.ts";
import { openLaneBoard, type FollowedBoard } from "./lane-board.ts";
import { formatLanes, parseLanes, parsePause, parseReading } from "./lane-words.ts";

/** What stands in Redis, with what can befall it there. */
interface Wall {
  readonly store: BoardStore;
  readonly rows: Map<string, { text: string; atMs: number }>;
  readonly pauses: Map<string, number>;
  /** What everybody gets instead of the truth. */
  lie: unknown;
  isDown: boolean;
  /** Word is lost. */
  isMute: boolean;
  exchanges: number;
  publish(text: string): void;
}

function wallFor(clock: VirtualClock): Wall {
  const hints = new Set<() => void>();
  const words = new Set<(text: string) => void>();
  const { rows, pauses }: Pick<Wall, "rows" | "pauses"> = { rows: new Map(), pauses: new Map() };
  const wall: Wall = {
    rows,
    pauses,
    lie: undefined,
    isDown: false,
    isMute: false,
    exchanges: 0,
    publish: (text) => words.forEach((hear) => hear(text)),
    store: {
      exchange({ node, document, isNews, pauses: own }) {
        wall.exchanges += 1;
        if (wall.isDown) return Promise.reject(new Error("no answer from Redis"));
        const now = clock.now();
        for (const [id, { atMs }] of rows) if (now - atMs >= limits.expiryMs) rows.delete(id);
        if (document === "") rows.delete(node);
        else rows.set(node, { text: document, atMs: now });
        if (isNews && !wall.isMute) for (const hint of hints) hint();
        for (const [key, endMs] of pauses) if (endMs <= now) pauses.delete(key);
        for (const { key, leftMs } of own)
          if (now + leftMs > (pauses.get(key) ?? 0) + limits.samePauseMs) {
            pauses.set(key, now + leftMs);
            if (!wall.isMute) wall.publish(`${leftMs} ${key}`);
          }
        const told = [...rows].filter(([id]) => id !== node).flatMap(([id, { text }]) => [id, text]);
        return Promise.resolve(wall.lie ?? [told, [...pauses].flatMap(([key, endMs]) => [key, String(endMs - now)])]);
      },
      onHint: (listener) => (hints.add(listener), () => void hints.delete(listener)),
      onPause: (listener) => (words.add(listener), () => void words.delete(listener)),
    },
  };
  return wall;
}

interface Rig {
  readonly clock: VirtualClock;
  readonly wall: Wall;
  readonly members: Set<string>;
  readonly of: (node: string) => FollowedBoard;
  readonly close: () => Promise<void>;
}

function openRig(): Rig {
  const clock = virtualClock();
  const wall = wallFor(clock);
  const members = new Set(["n1", "n2", "n3"]);
  const boards = new Map<string, FollowedBoard>();
  const isMember = (node: string): boolean => members.has(node);
  return {
    clock,
    wall,
    members,
    of(self) {
      const board = boards.get(self) ?? openLaneBoard({ store: wall.store, self, isMember, clock, random: () => 0.5 });
      boards.set(self, board);
      board.follow();
      return board;
    },
    close: async () => void (await Promise.all([...boards.values()].map((board) => board.close()))),
  };
}

function rigFor(t: TestContext): Rig {
  const rig = openRig();
  t.after(() => rig.close());
  return rig;
}

laneBoardSuite({
  name: "shared",
  open: () => {
    const rig = openRig();
    return Promise.resolve({ of: rig.of, close: rig.close, advance: (ms) => rig.clock.advance(ms) });
  },
});

test("lanes of who is no member count for nothing, and a dead node's are forgotten", async (t) => {
  const { clock, wall, members, of } = rigFor(t);
  const one = of("n1");
  of("n2").publish([sampleLane("n2")]);
  of("n9").publish([sampleLane("n9")]);
  await clock.advance(2_500);
  assert.deepEqual(one.others(), [sampleLane("n2")]);
  members.delete("n2");
  assert.deepEqual(one.others(), []);
  members.add("n2");
  await of("n2").close();
  await clock.advance(2_500);
  assert.deepEqual(one.others(), []);
  wall.rows.set("n3", { text: formatLanes([sampleLane("n3")]), atMs: clock.now() });
  await clock.advance(2_500);
  assert.equal(one.others().length, 1);
  await clock.advance(limits.expiryMs);
  assert.deepEqual(one.others(), [], "it crashed: nobody beats for it");
});

test("with Redis away the others' lanes stay known for 30 s, and are back with it", async (t) => {
  const { clock, wall, of } = rigFor(t);
  const one = of("n1");
  of("n2").publish([sampleLane("n2")]);
  await clock.advance(2_500);
  wall.isDown = true;
  await clock.advance(28_000);
  assert.equal(one.others().length, 1);
  await clock.advance(5_000);
  assert.deepEqual(one.others(), []);
  wall.isDown = false;
  await clock.advance(4_500);
  assert.equal(one.others().length, 1);
});

test("a change is told at once, not with the next beat", async (t) => {
  const { clock, of } = rigFor(t);
  const one = of("n1");
  const two = of("n2");
  await clock.advance(100);
  two.publish([sampleLane("n2")]);
  await clock.advance(limits.hintDelayMaxMs);
  assert.equal(one.others().length, 1);
});

test("what has not changed is told every two seconds and no more often", async (t) => {
  const { clock, wall, of } = rigFor(t);
  const one = of("n1");
  for (let second = 0; second < 60; second += 1) {
    one.publish([sampleLane("n1")]);
    await clock.advance(1_000);
  }
  assert.ok(wall.exchanges >= 30 && wall.exchanges <= 45, String(wall.exchanges));
});

test("a pause is told through a wipe, and while word is lost, as long as it runs", async (t) => {
  const { clock, wall, of } = rigFor(t);
  const heard: Pause[] = [];
  const one = of("n1");
  await clock.advance(100);
  wall.isDown = true;
  one.pause({ key: "k", forSec: 60 });
  await clock.advance(5_000);
  wall.isDown = false;
  wall.isMute = true;
  await clock.advance(2_500);
  of("n2").onPause((pause) => void heard.push(pause));
  await clock.advance(2_500);
  assert.equal(heard.length, 1);
  wall.pauses.clear();
  await clock.advance(2_500);
  assert.ok((wall.pauses.get("k") ?? 0) - clock.now() <= 50_000);
  assert.equal(heard.length, 1);
  await clock.advance(60_000);
  assert.equal(wall.pauses.size, 0, "nobody tells of one that is over");
});

test("a stranger's word does no more than pause for a while, and names no lane of another node", async (t) => {
  const { clock, wall, of } = rigFor(t);
  const one = of("n1");
  const heard: Pause[] = [];
  one.onPause((pause) => void heard.push(pause));
  const wrong: unknown[] = [
    null,
    7,
    "text",
    {},
    { ...sampleLane("n2"), name: "ci@a@n3" },
    { ...sampleLane("n2"), name: "ci@a@n2\r\n" },
    { ...sampleLane("n2"), budget: { toString: "x" } },
    { ...sampleLane("n2"), upstream: "" },
    { ...sampleLane("n2"), benched: "Why Not" },
    { ...sampleLane("n2"), egress: "x".repeat(400), name: `ci@${"x".repeat(400)}@n2` },
  ];
  const text = JSON.stringify([...wrong, { ...sampleLane("n2"), node: "n3", admin: true }]);
  wall.lie = [
    ["n2", text, "n3", "[[[", 7, "[]", "n1", formatLanes([sampleLane("n1")])],
    ["k", "1e300", "", "9", "j", "-5"],
  ];
  wall.publish("nonsense");
  wall.publish("1e9 forever");
  wall.publish("-1 k");
  wall.publish("NaN k");
  await clock.advance(2_500);
  assert.deepEqual(one.others(), [sampleLane("n2")]);
  const max = limits.pauseMsMax / 1000;
  assert.deepEqual(heard, [
    { key: "forever", forSec: max },
    { key: "k", forSec: max },
  ]);
});

test("nothing that stands in Redis breaks a reading", () => {
  fc.assert(
    fc.property(fc.oneof(fc.anything(), fc.array(fc.array(fc.anything()))), fc.string(), (answer, text) => {
      parseReading(answer);
      for (const word of [`${text} `, "1 ", "1  ", "1  k"]) assert.equal(parsePause(word), undefined);
      assert.ok(parseLanes("n2", JSON.stringify(answer) ?? text).every(({ node }) => node === "n2"));
      assert.deepEqual(parseLanes("n2", text), []);
    }),
  );
});

test("what one node tells is bounded, and all that it tells is read", () => {
  const many: LaneFacts[] = Array.from({ length: 500 }, (_, at) => {
    const egress = `${"e".repeat(200)}${at}`;
    return sampleLane("n2", { egress, name: `ci@${egress}@n2` });
  });
  const text = formatLanes(many);
  assert.ok(Buffer.byteLength(text) <= limits.documentBytesMax);
  const read = parseLanes("n2", text);
  assert.ok(read.length > 20 && read.length <= limits.lanesMax);
  assert.deepEqual(read, many.slice(0, read.length));
});
