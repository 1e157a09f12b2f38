import assert from "node:assert/strict";
import { test } from "node:test";

import { virtualClock } from "@pullring/testkit";

import { makeGate } from "./gate.ts";
import { limits } from "./limits.ts";
import { S3Error, type S3ErrorKind } from "./s3-error.ts";

function bench() {
  const clock = virtualClock();
  const turns: (string | undefined)[] = [];
  const service = { answers: false, probes: 0 };
  const closing = new AbortController();
  const gate = makeGate({
    clock,
    signal: closing.signal,
    onTurn: (reason) => void turns.push(reason),
    probe() {
      service.probes += 1;
      return service.answers ? Promise.resolve() : Promise.reject(new Error("still down"));
    },
  });
  const fail = (kind: S3ErrorKind, times = 1): void => {
    for (let time = 0; time < times; time += 1) gate.settle(new S3Error(kind, `it was ${kind}`));
  };
  return { clock, gate, turns, service, closing, fail };
}

test("failures in a row shut the gate, an answer between them begins the row again", () => {
  const { gate, fail, turns } = bench();
  fail("failed", limits.failuresMax - 1);
  gate.settle(undefined);
  fail("busy", limits.failuresMax - 1);
  assert.equal(gate.shutFor, undefined);
  fail("stalled");
  assert.equal(gate.shutFor, "it was stalled");
  assert.deepEqual(turns, ["it was stalled"]);
  assert.throws(() => gate.enter(), { kind: "closed" });
});

test("one silence shuts it, for the next one would wait as long", () => {
  const { gate, fail } = bench();
  fail("silent");
  assert.throws(() => gate.enter(), { kind: "closed" });
});

test("answers that are no failures never shut it", () => {
  const { gate, fail } = bench();
  for (const kind of ["missing", "exists", "conflict", "refused", "unsupported", "abandoned", "closed"] as const)
    fail(kind, 10);
  gate.enter();
});

test("it opens within a second of the service's return, and not before", async () => {
  const { clock, gate, fail, service, turns } = bench();
  fail("silent");
  await clock.advance(60_000);
  assert.ok(gate.shutFor !== undefined);
  assert.equal(service.probes, 60_000 / limits.probeEveryMs, "it is asked once a second");
  // Late answers of requests that were on their way change nothing.
  gate.settle(undefined);
  assert.ok(gate.shutFor !== undefined);
  service.answers = true;
  const opened = gate.open(new AbortController().signal);
  await clock.advance(limits.probeEveryMs);
  await opened;
  gate.enter();
  assert.deepEqual(turns, ["it was silent", undefined]);
  await clock.advance(60_000);
  assert.equal(service.probes, 61, "an open gate asks nothing");
});

test("who waits for it can give up, and closing ends the probes", async () => {
  const { clock, gate, fail, service, closing } = bench();
  fail("silent");
  const given = new AbortController();
  const waiting = gate.open(given.signal);
  given.abort(new Error("enough"));
  await assert.rejects(waiting, /enough/);
  closing.abort();
  await clock.advance(10_000);
  assert.equal(service.probes, 0);
  assert.equal(clock.pending, 0);
});
