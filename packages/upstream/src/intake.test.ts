import assert from "node:assert/strict";
import { test } from "node:test";

import { makeIntake } from "./intake.ts";

const bytes = (text: string): Uint8Array => Buffer.from(text);

function rig(pace: (n: number) => void | Promise<void> = () => {}) {
  const written: string[] = [];
  const calls: string[] = [];
  let gate: PromiseWithResolvers<void> | undefined;
  const failures: unknown[] = [];
  const intake = makeIntake({
    sink: {
      write(chunk) {
        written.push(Buffer.from(chunk).toString());
        return gate?.promise;
      },
    },
    pace,
    hold: () => void calls.push("hold"),
    release: () => void calls.push("release"),
    onFail: (error) => void failures.push(error),
  });
  return {
    intake,
    written,
    calls,
    failures,
    close: () => {
      gate = Promise.withResolvers();
      return gate;
    },
    open: () => (gate = undefined),
  };
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("chunks go straight through while the sink takes them", () => {
  const { intake, written, calls } = rig();
  intake.take(bytes("a"));
  intake.take(bytes("b"));
  assert.deepEqual([written, calls], [["a", "b"], []]);
});

test("a sink that waits holds upstream back, and what still comes is handed over in order", async () => {
  const { intake, written, calls, close, open } = rig();
  const gate = close();
  let done = false;
  for (const text of ["a", "b", "c"]) intake.take(bytes(text));
  intake.whenWritten(() => (done = true));
  assert.deepEqual([written, calls, done], [["a"], ["hold"], false]);
  open();
  gate.resolve();
  await settled();
  assert.deepEqual([written, calls, done], [["a", "b", "c"], ["hold", "release"], true]);
});

test("a sink that fails ends it, and a stopped one gets nothing more", async () => {
  const failing = rig();
  const gate = failing.close();
  failing.intake.take(bytes("a"));
  gate.reject(new Error("full"));
  await settled();
  assert.deepEqual(failing.failures.map(String), ["Error: full"]);

  const stopped = rig();
  const held = stopped.close();
  stopped.intake.take(bytes("a"));
  stopped.intake.take(bytes("b"));
  stopped.intake.stop();
  held.resolve();
  await settled();
  assert.deepEqual(stopped.written, ["a"]);
});

test("the pace holds upstream back as the sink does", async () => {
  const gate = Promise.withResolvers<void>();
  const { intake, written, calls } = rig(() => gate.promise);
  intake.take(bytes("a"));
  assert.deepEqual([written, calls], [["a"], ["hold"]]);
  gate.resolve();
  await settled();
  assert.deepEqual(calls, ["hold", "release"]);
});
