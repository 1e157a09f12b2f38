import assert from "node:assert/strict";
import { test } from "node:test";

import { virtualClock } from "@pullring/testkit";

import { PeerHealth } from "./peer-health.ts";

test("one refused connection is an accident, two bench a peer", () => {
  const health = new PeerHealth(virtualClock());
  assert.equal(health.report("n2", "refused"), undefined);
  assert.equal(health.isBenched("n2"), false);
  assert.equal(health.report("n2", "refused"), "benched");
  assert.equal(health.isBenched("n2"), true);
  assert.equal(health.isBenched("n3"), false);
});

test("refused connections that lie apart, or with an answer between them, bench nobody", async () => {
  const clock = virtualClock();
  const health = new PeerHealth(clock);
  health.report("n2", "refused");
  await clock.advance(5_000);
  health.report("n2", "refused");
  health.report("n2", "ok");
  health.report("n2", "refused");
  assert.equal(health.isBenched("n2"), false);
});

test("one silence benches a peer until it answers", async () => {
  const clock = virtualClock();
  const health = new PeerHealth(clock);
  assert.equal(health.report("n2", "timeout"), "benched");
  await clock.advance(60_000);
  assert.equal(health.isBenched("n2"), true);
  assert.equal(health.report("n2", "refused"), undefined, "it is benched already");
  assert.equal(health.report("n2", "ok"), "back");
  assert.equal(health.isBenched("n2"), false);
  assert.equal(health.report("n2", "ok"), undefined);
});
