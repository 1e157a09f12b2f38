import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import { beatBoard, virtualClock, type BeatBoard, type VirtualClock } from "@pullring/testkit";

import { DuplicateNodeError } from "./heartbeat.ts";
import { formatDocument } from "./member.ts";
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

const document = {
  id: "n1",
  url: urlOf("n1"),
  ringName: "n1:5000",
  weight: 1,
  state: "active",
  incarnation: "another-start",
  version: "1",
} as const;

test("a second node with an id in use is refused at its start while the first one answers", async (t) => {
  const { join, open, answering, board } = cluster(t);
  const n1 = await join("n1");
  answering.add("n1-start-1");
  await assert.rejects(open("n1"), DuplicateNodeError);
  assert.deepEqual(board.ids(), ["n1"]);
  assert.equal(n1.status().isSuperseded, false);
});

test("a node whose process before this one is silent takes its id at once", async (t) => {
  const { join, until, probed, clock } = cluster(t);
  const old = await join("n1");
  await until(old.close());
  const startedMs = clock.monotonic();
  const n1 = await join("n1");
  assert.ok(clock.monotonic() - startedMs < 1_000);
  assert.deepEqual(probed, ["n1-start-1"]);
  assert.equal(n1.status().isSuperseded, false);
});

test("a process before this one that never answers the question holds up the start for 3 s at most", async (t) => {
  const { join, open, until, clock } = cluster(t);
  await until((await join("n1")).close());
  const startedMs = clock.monotonic();
  await open("n1", { answers: () => new Promise(() => {}) });
  assert.ok(clock.monotonic() - startedMs <= 3_000);
});

test("a node that finds its id taken says so, fights nobody, and has it back when the other is gone", async (t) => {
  const { join, clock, logged, until, untilTrue } = cluster(t);
  const hung = await join("n1");
  const second = await join("n1");
  await clock.advance(20_000);
  assert.equal(hung.status().isSuperseded, true);
  assert.equal(second.status().isSuperseded, false, "the two do not take it from each other");
  assert.match(hung.status().reasons.join(), /another process has this node's id/);
  assert.equal(ringOf(hung), "n1", "it goes on serving");
  assert.equal(logged.filter((line) => line.startsWith("error another process")).length, 1);
  assert.equal(await until(hung.drain()), false, "what it says is not heard");
  await until(second.close());
  const tookMs = await untilTrue(() => !hung.status().isSuperseded);
  assert.ok(tookMs <= 12_000, `${tookMs} ms`);
});

test("who was superseded takes nothing away when it leaves", async (t) => {
  const { join, clock, until, board } = cluster(t);
  const hung = await join("n1");
  await join("n1");
  await clock.advance(3_000);
  await until(hung.leave());
  assert.deepEqual(board.ids(), ["n1"]);
});

test("a node that started without Redis asks for its id when Redis is back", async (t) => {
  const { open, board, answering, clock, untilTrue } = cluster(t);
  board.isDown = true;
  const n1 = await open("n1");
  board.isDown = false;
  board.put("n1", formatDocument(document));
  answering.add("another-start");
  await untilTrue(() => n1.status().isSuperseded);
  answering.clear();
  await clock.advance(4_000);
  assert.equal(n1.status().isSuperseded, false);
});

test("a stranger in Redis names no address that is dialled, puts nobody in the ring and is logged once", async (t) => {
  const { join, board, clock, logged, probed } = cluster(t);
  board.put("n1", formatDocument({ ...document, url: "http://169.254.169.254" }));
  const mayDial = (url: string): boolean => !url.includes("169.254") && !url.includes("evil");
  const n1 = await join("n1", { mayDial });
  assert.deepEqual(probed, [], "the address under its own id was not asked");
  const good = { ...document, id: "n2", ringName: "n2:5000" };
  const rows: [string, string][] = [
    ["evil", formatDocument({ ...good, id: "evil", url: "http://evil:80" })],
    ["other", formatDocument(good)],
    ["../x", formatDocument({ ...good, id: "../x" })],
    ["text", "no document"],
    ["empty", ""],
    ["number", "another-start 5"],
    ["null", "another-start null"],
    ["large", formatDocument({ ...good, id: "large", version: "v".repeat(4_000) })],
    ["lying", formatDocument({ ...good, id: "lying" }).replace("another-start ", "another-word ")],
    ...Object.entries({
      file: { url: "file:///etc/passwd" },
      login: { url: "http://user:secret@n2:5002" },
      path: { url: "http://n2:5002/peer" },
      port: { url: "http://n2:99999" },
      heavy: { weight: 101 },
      light: { weight: 0 },
      half: { weight: 1.5 },
      loud: { ringName: "n2\r\nHost: x" },
      long: { ringName: "n".repeat(256) },
      state: { state: "king" as "active" },
      secret: { incarnation: "a b" },
    }).map(([id, wrong]): [string, string] => [id, formatDocument({ ...good, id, ...wrong })]),
  ];
  for (let times = 0; times < 5; times += 1) {
    for (const [id, text] of rows) board.put(id, text);
    await clock.advance(2_000);
  }
  assert.equal(ringOf(n1), "n1");
  assert.deepEqual(n1.others("k"), []);
  assert.ok(n1.status().ignoredRows >= rows.length);
  assert.equal(logged.filter((line) => line.includes("ignored")).length, rows.length);
  board.put("n2", formatDocument(good));
  await clock.advance(2_000);
  assert.equal(ringOf(n1), "n1 n2", "the same document without a fault is taken");
});

test("a crowd in Redis does not grow the cluster without bound, nor push out who was there", async (t) => {
  const { join, board, clock, untilTrue } = cluster(t);
  const n1 = await join("n1");
  await join("n2");
  await untilTrue(() => ringOf(n1) === "n1 n2");
  for (let index = 0; index < 310; index += 1) {
    const id = `a${index}`;
    board.put(id, formatDocument({ ...document, id, url: urlOf(id), ringName: `${id}:5000` }));
  }
  await clock.advance(6_000);
  assert.equal(n1.ring().members.length, 256);
  assert.ok(ringOf(n1).includes("n1 n2"));
});

test("a node that the others would ignore does not start", async (t) => {
  const { open, board } = cluster(t);
  const { state: _, ...self } = document;
  for (const wrong of [{ version: "" }, { ringName: "a b" }, { url: "n1:5002" }, { incarnation: "1" }, { id: "n/1" }])
    await assert.rejects(open("n1", { self: { ...self, ...wrong } }), /no member that others would take/);
  assert.equal(board.exchanges, 0);
});
