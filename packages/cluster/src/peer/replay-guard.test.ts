import assert from "node:assert/strict";
import { test } from "node:test";

import { virtualClock } from "@pullring/testkit";
import fc from "fast-check";

import { makeReplayGuard } from "./replay-guard.ts";

const options = { boot: "this start", windowMs: 30_000, noncesMax: 1_000 };

test("a request is let in once, however long somebody waits to send it again", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ waitMs: fc.nat(50_000), offMs: fc.integer({ min: -40_000, max: 40_000 }) }), {
        maxLength: 30,
      }),
      async (steps) => {
        const clock = virtualClock();
        const guard = makeReplayGuard({ ...options, clock });
        const sent: { boot: string; timeMs: number; nonce: string }[] = [];
        const admitted = new Set<string>();
        for (const [index, { waitMs, offMs }] of steps.entries()) {
          await clock.advance(waitMs);
          const facts = { boot: guard.boot, timeMs: guard.timeMs() + offMs, nonce: `nonce ${index}` };
          sent.push(facts);
          for (const one of sent) {
            if (guard.admit(one) !== "admitted") continue;
            assert.equal(admitted.has(one.nonce), false, one.nonce);
            admitted.add(one.nonce);
          }
          assert.equal(admitted.has(facts.nonce), Math.abs(offMs) <= options.windowMs);
        }
      },
    ),
    { numRuns: 50 },
  );
});

test("a request for an earlier start is asked to look at the time", () => {
  const guard = makeReplayGuard({ ...options, clock: virtualClock() });
  assert.equal(guard.admit({ boot: "", timeMs: 0, nonce: "a" }), "clock");
  assert.equal(guard.admit({ boot: "an earlier start", timeMs: 0, nonce: "a" }), "clock");
  assert.equal(guard.admit({ boot: guard.boot, timeMs: 0, nonce: "a" }), "admitted");
});

test("what is remembered is bounded, and nothing is forgotten for it", async () => {
  const clock = virtualClock();
  const guard = makeReplayGuard({ ...options, clock, noncesMax: 3 });
  const admit = (nonce: string) => guard.admit({ boot: guard.boot, timeMs: guard.timeMs(), nonce });
  assert.deepEqual(["a", "b", "c", "d", "a"].map(admit), ["admitted", "admitted", "admitted", "crowded", "replayed"]);
  await clock.advance(2 * options.windowMs);
  assert.equal(admit("e"), "admitted");
});
