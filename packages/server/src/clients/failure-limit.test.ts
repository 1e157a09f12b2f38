import assert from "node:assert/strict";
import { test } from "node:test";

import { virtualClock } from "@pullring/testkit";

import { makeFailureLimit } from "./failure-limit.ts";

const start = (clientsMax = 100) => {
  const clock = virtualClock();
  return { clock, limit: makeFailureLimit({ clock, failuresMax: 2, windowMs: 60_000, clientsMax }) };
};

test("a client that used up its failures waits until its window ends", async () => {
  const { clock, limit } = start();
  assert.equal(limit.take("192.0.2.1"), 0);
  await clock.advance(10_000);
  assert.equal(limit.take("192.0.2.1"), 0);
  assert.equal(limit.take("192.0.2.1"), 50);
  assert.equal(limit.take("192.0.2.2"), 0, "others do not wait");
  await clock.advance(50_000);
  assert.equal(limit.take("192.0.2.1"), 0);
});

test("an attempt that is given back was none", () => {
  const { limit } = start();
  for (let index = 0; index < 10; index++) {
    assert.equal(limit.take("192.0.2.1"), 0);
    limit.giveBack("192.0.2.1");
  }
});

test("one IPv6 network is one client", () => {
  const { limit } = start();
  limit.take("2001:db8:0:1::1");
  limit.take("2001:db8:0:1:ffff::2");
  assert.ok(limit.take("2001:db8:0:1:1:2:3:4") > 0);
  assert.equal(limit.take("2001:db8:0:2::1"), 0);
  limit.take("::1");
  limit.take("::2:1");
  assert.ok(limit.take("0:0:0:0:1::") > 0);
});

test("the clients that are remembered are bounded", () => {
  const { limit } = start(2);
  for (const address of ["192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.3"]) assert.equal(limit.take(address), 0);
  assert.equal(limit.take("192.0.2.1"), 0, "its window was the oldest");
});
