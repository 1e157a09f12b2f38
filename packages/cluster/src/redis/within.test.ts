import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { promisify } from "node:util";

import { virtualClock } from "@pullring/testkit";

import { within } from "./within.ts";
import { realClock } from "../peer/test-peers.ts";

const late = (): Error => new Error("late");

function stall(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

test("an answer that came while this process was stalled is in time", async () => {
  // Done by another thread during the stall; its callback waits where a socket's would.
  const work = promisify(randomBytes)(16);
  const outcome = within({ clock: realClock, ms: 20, late }, work);
  stall(100);
  assert.equal((await outcome).length, 16);
});

test("no answer is a rejection at its time, and what comes later is no unhandled rejection", async () => {
  const clock = virtualClock();
  const { promise, reject } = Promise.withResolvers<never>();
  const outcome = assert.rejects(within({ clock, ms: 250, late }, promise), /late/);
  await clock.advance(250);
  await outcome;
  reject(new Error("much later"));
});

test("an answer leaves no timer behind", async () => {
  const clock = virtualClock();
  assert.equal(await within({ clock, ms: 250, late }, Promise.resolve("there")), "there");
  assert.equal(clock.pending, 0);
});
