import assert from "node:assert/strict";
import { test } from "node:test";

import { check, digest, placesOf, type Sketch, type SketchedRun } from "./test-ledger.ts";

const ask = (more: Partial<Extract<Sketch, { kind: "ask" }>> = {}): Sketch => ({ kind: "ask", ...more });
const answer = (more: Partial<Extract<Sketch, { kind: "answer" }>> = {}): Sketch => ({ kind: "answer", ...more });

/** One GET of the blob that brings all of it, kept. */
const fetched: readonly Sketch[] = [ask(), answer(), { kind: "fill" }];
const first: SketchedRun = { lines: fetched };
/** Another node's, much later. */
const second: SketchedRun = { node: "n2", startsAt: 60_000, lines: fetched };

test("a blob that two nodes fetch is found, one that one fetches is not", async (t) => {
  assert.deepEqual(placesOf(await check(t, first)), []);
  assert.deepEqual(placesOf(await check(t, first, second)), ["1@1:2"]);
  assert.deepEqual(placesOf(await check(t, second, first)), ["1@0:2"], "whatever the order of the files");
});

test("a blob that one node fetches twice is found, by a redirect once", async (t) => {
  const redirected = [ask(), answer({ status: 307, bytes: 0 }), ask({ n: 2, hop: 1 }), answer({ n: 2 })];
  assert.deepEqual(placesOf(await check(t, { lines: redirected })), []);
  const again = [ask({ n: 3, errand: 2 }), answer({ n: 3 })];
  assert.deepEqual(placesOf(await check(t, { lines: [...redirected, ...again] })), ["1@0:6"]);
});

test("a manifest that is fetched twice is found; by two tags it is fetched once", async (t) => {
  const get = ask({ request: "manifest_get" });
  const told = await check(t, {
    lines: [get, answer(), ask({ request: "manifest_get", n: 2, errand: 2 }), answer({ n: 2 })],
  });
  assert.deepEqual(placesOf(told), ["1@0:4"]);
});

test("two GETs at the same time are found, though one of them breaks later", async (t) => {
  const broken: SketchedRun = { lines: [ask({ at: 1_000 }), answer({ at: 30_000, broken: true, bytes: 2 })] };
  const beside: SketchedRun = { node: "n2", lines: [ask({ at: 10_000 }), answer({ at: 31_000 })] };
  const after: SketchedRun = { node: "n2", lines: [ask({ at: 30_500 }), answer({ at: 31_000 })] };
  assert.deepEqual(placesOf(await check(t, broken, beside)), ["1@1:2"]);
  assert.deepEqual(placesOf(await check(t, broken, after)), []);
});

test("what goes on from the middle, pieces, and answers without bytes are no second GET", async (t) => {
  for (const [more, status] of [
    [{ range: "bytes=3-" }, 206],
    [{ request: "blob_range", range: "bytes=0-3" }, 206],
    [{}, 404],
    [{}, 429],
    [{}, 503],
  ] as const) {
    const lines = [...fetched, ask({ n: 2, errand: 2, ...more }), answer({ n: 2, status })];
    assert.deepEqual(placesOf(await check(t, { lines })), [], JSON.stringify(more));
  }
  const unreachable = [ask(), { kind: "answer", status: undefined as never, broken: true, bytes: 0 } as const];
  assert.deepEqual(placesOf(await check(t, { lines: unreachable }, second)), []);
});

test("a range from the first byte is a GET like another", async (t) => {
  const again = [ask({ n: 2, errand: 2, range: "bytes=0-" }), answer({ n: 2, status: 206 })];
  assert.deepEqual(placesOf(await check(t, { lines: [...fetched, ...again] })), ["1@0:5"]);
});

for (const [name, loss] of [
  ["evicted", { kind: "gone", why: "evicted" }],
  ["found corrupt", { kind: "gone", why: "corrupt" }],
  ["sent wrongly", { kind: "mismatch" }],
  ["not kept", { kind: "fill", kept: false }],
] as const) {
  test(`what was ${name} where it had been fetched may be fetched again; elsewhere, that says nothing`, async (t) => {
    const lines = [ask(), answer()];
    assert.deepEqual(placesOf(await check(t, { lines: [...lines, loss] }, second)), []);
    const elsewhere: SketchedRun = { node: "n3", startsAt: 5_000, lines: [loss] };
    assert.deepEqual(placesOf(await check(t, { lines }, second, elsewhere)), ["1@1:2"]);
    const tooLate = { ...loss, at: 90_000 };
    assert.deepEqual(placesOf(await check(t, { lines: [...lines, tooLate] }, second)), ["1@1:2"]);
  });
}

test("what was purged anywhere may be fetched again", async (t) => {
  const purger: SketchedRun = { node: "n3", startsAt: 5_000, lines: [{ kind: "gone", why: "purged" }] };
  assert.deepEqual(placesOf(await check(t, first, second, purger)), []);
});

test("what a killed node had not finished may be fetched again, at any time after its end and not before", async (t) => {
  const killed: SketchedRun = { stops: false, lines: [ask(), answer(), { kind: "beat", at: 20_000 }] };
  const back: SketchedRun = { startsAt: 21_000, lines: [] };
  assert.deepEqual(placesOf(await check(t, killed, back, { ...second, startsAt: 90_000 })), []);
  const during: SketchedRun = { node: "n2", lines: [ask({ at: 10_000 }), answer()] };
  assert.deepEqual(placesOf(await check(t, killed, back, during)), ["1@2:2"]);
});

test("a GET that was under way when its node was killed may be made again by another", async (t) => {
  const killed: SketchedRun = { stops: false, lines: [ask()] };
  assert.deepEqual(placesOf(await check(t, killed, second)), []);
});

test("what a killed node had at rest may be fetched again while it is away, and not when it is back", async (t) => {
  const killed: SketchedRun = { stops: false, lines: fetched };
  const back: SketchedRun = { startsAt: 30_000, lines: [] };
  assert.deepEqual(placesOf(await check(t, killed, { ...second, startsAt: 10_000 }, back)), []);
  assert.deepEqual(placesOf(await check(t, killed, { ...second, startsAt: 40_000 }, back)), []);
  assert.deepEqual(placesOf(await check(t, killed, { ...second, startsAt: 50_000 }, back)), ["1@1:2"]);
});

test("a node that was killed again later is away then too", async (t) => {
  const killed: SketchedRun = { stops: false, lines: fetched };
  const again: SketchedRun = { stops: false, startsAt: 30_000, lines: [{ kind: "beat", at: 58_000 }] };
  assert.deepEqual(placesOf(await check(t, killed, again, second)), []);
  assert.deepEqual(placesOf(await check(t, killed, { ...again, stops: true }, second)), ["1@2:2"]);
});

test("a third GET needs an excuse for each of the two before", async (t) => {
  const killed: SketchedRun = { stops: false, lines: [ask(), answer()] };
  const third: SketchedRun = { node: "n3", startsAt: 120_000, lines: fetched };
  const report = await check(t, killed, second, third);
  assert.deepEqual(placesOf(report), ["1@2:2"]);
  assert.equal(report.rules[0]?.excused, 1);
  assert.match(report.violations[0]?.what ?? "", new RegExp(`${digest}.*1\\.ndjson:2, by n2`));
});
