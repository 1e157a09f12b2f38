import assert from "node:assert/strict";
import { test } from "node:test";

import type { Digest } from "@pullring/oci";
import { virtualClock } from "@pullring/testkit";

import { PullringError } from "./errors.ts";
import type { BlobRequest, BlobSink } from "./ports.ts";
import { transfer } from "./transfer.ts";

const whole = Buffer.from(Array.from({ length: 4 * 1024 * 1024 }, (_, index) => (index * 7) % 251));
const lane = { name: "anonymous@default@n1", access: "public" as const };

type Step = (request: BlobRequest, sink: BlobSink) => Promise<void>;

/** Sends [from, to) of the blob and then ends as told. */
function send({
  from,
  to,
  end,
  size = whole.length,
}: {
  from?: number;
  to: number;
  end?: Error;
  size?: number | null;
}): Step {
  return async (request, sink) => {
    const offset = from ?? request.offset;
    sink.head({ lane, offset, resumable: true, ...(size === null ? {} : { size }) });
    for (let at = offset; at < to; at += 100_000) await sink.write(whole.subarray(at, Math.min(to, at + 100_000)));
    if (end) throw end;
  };
}

async function run(
  steps: Step[],
  received = 0,
): Promise<{ bytes: Buffer; requests: number[]; result: Promise<number> }> {
  const clock = virtualClock();
  const chunks: Uint8Array[] = [whole.subarray(0, received)];
  const requests: number[] = [];
  const result = transfer({
    source: {
      get: (request, sink) => {
        requests.push(request.offset);
        const step = steps.shift();
        return step ? step(request, sink) : Promise.reject(new PullringError("unavailable", "no more steps"));
      },
    },
    clock,
    repository: { upstream: "docker.io", name: "library/a" },
    digest: `sha256:${"0".repeat(64)}` as Digest,
    received,
    signal: new AbortController().signal,
    onHead: () => {},
    onChunk: (chunk) => void chunks.push(chunk),
  });
  let settled = false;
  result.then(
    () => (settled = true),
    () => (settled = true),
  );
  for (let turns = 0; turns < 100 && !settled; turns += 1) await clock.advance(1_000);
  return { bytes: Buffer.concat(chunks), requests, result };
}

const cut = new PullringError("cut", "the body ended early");

test("a cut body is gone on with from where it broke, one byte overlapping", async () => {
  const { bytes, requests, result } = await run([send({ to: 2_000_000, end: cut }), send({ to: whole.length })]);
  assert.equal(await result, whole.length);
  assert.deepEqual(requests, [0, 1_999_999]);
  assert.ok(bytes.equals(whole));
});

test("an upstream that sends everything again to a range has its head skipped, not spliced in", async () => {
  const { bytes, result } = await run([send({ to: 1_500_001, end: cut }), send({ from: 0, to: whole.length })]);
  await result;
  assert.ok(bytes.equals(whole));
});

test("a body that ends well but short counts as cut", async () => {
  const { bytes, requests, result } = await run([send({ to: 3_000_000 }), send({ to: whole.length })]);
  await result;
  assert.equal(requests.length, 2);
  assert.ok(bytes.equals(whole));
});

test("what an earlier fill left is not asked for again", async () => {
  const { bytes, requests, result } = await run([send({ to: whole.length })], 1_000_000);
  await result;
  assert.deepEqual(requests, [999_999]);
  assert.ok(bytes.equals(whole));
});

test("an upstream that brings nothing new is given up after a few attempts", async () => {
  const { requests, result } = await run(Array.from({ length: 20 }, () => send({ to: 50_000, end: cut })));
  await assert.rejects(result, { code: "cut" });
  assert.ok(requests.length <= 6, String(requests.length));
});

test("before the first head an error is the answer, at once", async () => {
  const { requests, result } = await run([() => Promise.reject(new PullringError("unavailable", "down"))]);
  await assert.rejects(result, { code: "unavailable" });
  assert.equal(requests.length, 1);
});

test("another size on the way means another object", async () => {
  const { result } = await run([send({ to: 2_000_000, end: cut }), send({ to: whole.length, size: whole.length + 1 })]);
  await assert.rejects(result, { code: "corrupt" });
});

test("an upstream that begins behind what was asked is refused", async () => {
  const { result } = await run([send({ from: 10, to: whole.length })]);
  await assert.rejects(result, { code: "corrupt" });
});

test("without a declared size the end of the body is the end", async () => {
  const { result } = await run([send({ to: 123_456, size: null })]);
  assert.equal(await result, 123_456);
});
