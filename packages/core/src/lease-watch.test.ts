import assert from "node:assert/strict";
import { test } from "node:test";

import { virtualClock } from "@pullring/testkit";

import { LeaseWatch } from "./lease-watch.ts";
import { limits } from "./limits.ts";

const held = (facts: { token?: string; holder?: string; bytes?: number } = {}) =>
  ({ state: "held", holder: "n2", token: "t1", bytes: 0, ...facts }) as const;
const nothing = { received: 0, movedAtMs: undefined };

function watching() {
  const clock = virtualClock();
  return { clock, watch: new LeaseWatch(clock, "n1") };
}

test("a holder that stands still for ten seconds is given up, and not before", async () => {
  const { clock, watch } = watching();
  watch.see(held(), nothing);
  await clock.advance(limits.holderStuckMs - 1);
  assert.equal(watch.broken(), undefined);
  await clock.advance(1);
  assert.equal(watch.broken(), "t1");
});

test("bytes that its holder tells of, or that came from it, are a sign of life", async () => {
  const { clock, watch } = watching();
  watch.see(held(), nothing);
  await clock.advance(9_000);
  watch.see(held({ bytes: 1_000_000 }), nothing);
  await clock.advance(9_000);
  assert.equal(watch.broken(), undefined);
  watch.see(held({ bytes: 1_000_000 }), { received: 2_000_000, movedAtMs: clock.monotonic() });
  await clock.advance(9_000);
  assert.equal(watch.broken(), undefined);
});

test("what a holder tells of that came from it already is none", async () => {
  const { clock, watch } = watching();
  await clock.advance(20_000);
  watch.see(held({ bytes: 2_000_000 }), { received: 2_000_000, movedAtMs: clock.monotonic() - limits.holderStuckMs });
  assert.equal(watch.broken(), "t1");
});

test("two refusals within a second are enough, one and two apart are not", async () => {
  const { clock, watch } = watching();
  watch.see(held(), nothing);
  watch.refused();
  await clock.advance(limits.refusalsWithinMs + 1);
  watch.refused();
  assert.equal(watch.broken(), undefined);
  await clock.advance(limits.leasePollMinMs);
  watch.refused();
  assert.equal(watch.broken(), "t1");
  watch.see(held({ token: "t2", holder: "n3" }), nothing);
  assert.equal(watch.broken(), undefined, "another holder starts afresh");
});

test("a lease of this node's own is of a fill that has ended", () => {
  const { watch } = watching();
  watch.see(held({ holder: "n1" }), nothing);
  assert.equal(watch.broken(), "t1");
});

test("looks become rarer, up to two seconds, until something moves", () => {
  const { watch } = watching();
  watch.see(held(), nothing);
  const pauses = Array.from({ length: 5 }, () => watch.nextPauseMs());
  assert.deepEqual(pauses, [250, 500, 1_000, 2_000, 2_000]);
  watch.refused();
  assert.equal(watch.nextPauseMs(), 250);
});
