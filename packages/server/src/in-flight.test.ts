import assert from "node:assert/strict";
import { test } from "node:test";

import { makeInFlight } from "./in-flight.ts";

test("a stop waits for what is under way, and for nothing when there is nothing", async () => {
  const inFlight = makeInFlight();
  await inFlight.idle();
  inFlight.enter();
  inFlight.enter();
  let idle = false;
  const waiting = inFlight.idle().then(() => (idle = true));
  inFlight.leave();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(idle, false);
  inFlight.leave();
  await waiting;
});
