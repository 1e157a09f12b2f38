import assert from "node:assert/strict";
import { test } from "node:test";

import { makeFillGate } from "./fill-gate.ts";

const gate = () => makeFillGate({ fillsMax: 3, fillsPerClientMax: 2, fillQueueMax: 2 });

/** Lets promises that can settle do so. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("a client has its share, and what is above it waits without holding up others", async () => {
  const fills = gate();
  const leave = await fills.enter("a");
  await fills.enter("a");
  let third = false;
  void fills.enter("a").then(() => (third = true));
  await fills.enter("b");
  await settle();
  assert.equal(third, false);
  assert.deepEqual(fills.counts(), { running: 3, queued: 1 });
  leave();
  await settle();
  assert.equal(third, true);
});

test("when the queue is full too, the answer is busy, with a time to come back", async () => {
  const fills = gate();
  for (const client of ["a", "a", "b"]) await fills.enter(client);
  void fills.enter("c");
  void fills.enter("d");
  await assert.rejects(fills.enter("e"), { code: "busy", retryAfterSec: 2 });
});

test("waiting clients come in in order", async () => {
  const fills = gate();
  const ways = await Promise.all(["a", "b", "c"].map((client) => fills.enter(client)));
  const order: string[] = [];
  for (const client of ["d", "e"]) void fills.enter(client).then(() => order.push(client));
  for (const leave of ways) leave();
  await settle();
  assert.deepEqual(order, ["d", "e"]);
});

test("who is urgent leaves the queue at once, and counts like the others", async () => {
  const gate = makeFillGate({ fillsMax: 1, fillsPerClientMax: 1, fillQueueMax: 2 });
  const leave = await gate.enter("a");
  const urgent = new AbortController();
  const waiting = gate.enter("b", urgent.signal);
  urgent.abort();
  (await waiting)();
  assert.deepEqual(gate.counts(), { running: 1, queued: 0 });
  leave();
});
