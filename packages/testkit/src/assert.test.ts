import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import { digestOf, eventually } from "./assert.ts";

const empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

test("a digest is the same for bytes, text and streams", async () => {
  assert.equal(await digestOf(""), empty);
  const bytes = Buffer.from("hello");
  assert.equal(await digestOf(Readable.from([bytes.subarray(0, 2), bytes.subarray(2)])), await digestOf(bytes));
  assert.match(await digestOf(bytes, "sha512"), /^sha512:9b71d224/);
});

test("a condition is waited for, and its value is the result", async () => {
  let calls = 0;
  assert.equal(await eventually(() => (++calls < 3 ? undefined : "ready")), "ready");
});

test("a condition that never comes is an error that names it", async () => {
  await assert.rejects(
    eventually(() => false, { timeoutMs: 10, intervalMs: 1 }),
    /not true within 10 ms: \(\) => false/,
  );
});
