import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";

import { peerLimits } from "../limits.ts";
import type { PeerFault } from "./peer-fault.ts";
import { makePeerWatch, type PeerWatch } from "./peer-watch.ts";

/** A watch in a process that stands still for as long as a test says: its sleepers wake when the test lets them. */
function watched(): { watch: PeerWatch; late: PeerFault[]; stall: (ms: number) => Promise<void> } {
  let nowMs = 0;
  let wake = (): void => {};
  const late: PeerFault[] = [];
  const watch = makePeerWatch({
    clock: { now: () => 0, monotonic: () => nowMs, sleep: () => new Promise((resolve) => (wake = resolve)) },
    headMs: peerLimits.leafHeadMs,
    onLate: (fault) => void late.push(fault),
  });
  return {
    watch,
    late,
    async stall(ms) {
      nowMs += ms;
      wake();
      await turn();
    },
  };
}

test("an answer that waited unread behind a stall of our own is not late", async () => {
  const { watch, late, stall } = watched();
  watch.sent();
  await stall(60_000);
  watch.headed();
  await stall(peerLimits.secondLookMs);
  assert.deepEqual(late, []);
  watch.stop();
});

test("what has not come after the stall either is late", async () => {
  const { watch, late, stall } = watched();
  watch.sent();
  await stall(60_000);
  assert.deepEqual(late, []);
  await stall(peerLimits.secondLookMs);
  assert.deepEqual(
    late.map(({ kind, headed }) => ({ kind, headed })),
    [{ kind: "silent", headed: false }],
  );
});

test("the time in which this end takes no more does not count", async () => {
  const { watch, late, stall } = watched();
  watch.headed();
  watch.hold();
  await stall(60_000);
  await stall(60_000);
  watch.release();
  await stall(peerLimits.idleMs - 1);
  await stall(0);
  assert.deepEqual(late, []);
  await stall(1);
  await stall(peerLimits.secondLookMs);
  assert.equal(late.length, 1);
});
