import assert from "node:assert/strict";
import { test } from "node:test";

import { virtualClock } from "@pullring/testkit";

import { makeRecent } from "./recent.ts";

test("a value is remembered for its time and no longer", async () => {
  const clock = virtualClock();
  const recent = makeRecent<string>(clock, { ttlMs: 10_000, entriesMax: 10 });
  recent.set("a", "x");
  await clock.advance(9_999);
  assert.equal(recent.get("a"), "x");
  await clock.advance(1);
  assert.equal(recent.get("a"), undefined);
});

test("beyond its bound the oldest goes first, and setting again makes young", () => {
  const recent = makeRecent<number>(virtualClock(), { ttlMs: 1_000, entriesMax: 2 });
  recent.set("a", 1);
  recent.set("b", 2);
  recent.set("a", 3);
  recent.set("c", 4);
  assert.deepEqual([recent.get("a"), recent.get("b"), recent.get("c")], [3, undefined, 4]);
  recent.delete("a");
  assert.equal(recent.get("a"), undefined);
});
