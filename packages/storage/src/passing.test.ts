import assert from "node:assert/strict";
import { readdirSync, statSync } from "node:fs";
import { test } from "node:test";
import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";

import type { Segment, SpoolReader } from "@pullring/core";
import { appendAll, bytesOf, chunksOf, eventually, follow, type Grown } from "@pullring/testkit";
import { sampleBytes, sampleDigest } from "@pullring/testkit";
import fc from "fast-check";

import { nodeFs, type Fs } from "./fs.ts";
import { makeHashing } from "./hashing.ts";
import { limits } from "./limits.ts";
import { bench, mib, openSpools, refusingAfter } from "./test-spools.ts";

/** What lies in spool files. */
const bytesSpooled = (path: string): number =>
  readdirSync(`${path}/v1/spool`).reduce((sum, name) => sum + statSync(`${path}/v1/spool/${name}`).size, 0);

/** Not a copy, where the segment is none. */
const viewOf = (segment: Segment): Buffer =>
  "bytes" in segment
    ? Buffer.from(segment.bytes.buffer, segment.bytes.byteOffset, segment.bytes.length)
    : bytesOf(segment);

/**
 * Reads as a response does, but looks at what it got only when it is about to ask for more: until then the bytes must not have
 * changed.
 */
async function holdAndRead(grown: Grown, reader: SpoolReader, whole: Buffer, turns = 1): Promise<void> {
  let at = 0;
  let held: Buffer = Buffer.alloc(0);
  while (at < whole.length) {
    const [from, part] = [at - held.length, held];
    assert.ok(part.equals(whole.subarray(from, at)), `the bytes from ${from} on changed while they were read`);
    reader.skip(at);
    await grown.reach(at + 1);
    held = viewOf(reader.segment(at, grown.spool.end - at));
    at += held.length;
    for (let index = 0; index < turns; index += 1) await turn();
  }
  assert.ok(held.equals(whole.subarray(at - held.length)));
}

test("what only passes goes to its one reader without a byte on the disk, and its first bytes are gone then", async (t) => {
  const { path, disk, spoolFor } = await bench(t);
  const bytes = sampleBytes(20 * mib);
  const grown = await spoolFor(bytes);
  const { spool } = grown;
  spool.pass();
  const reader = spool.reader(0);
  const read = holdAndRead(grown, reader, bytes);
  await appendAll(spool, bytes);
  assert.equal(await spool.finish(), sampleDigest(bytes));
  await read;
  assert.equal(bytesSpooled(path), 0);
  assert.ok(spool.start > 0 && spool.end - spool.start <= limits.passedBytesMax);
  assert.throws(() => spool.reader(0), RangeError);
  reader.close();
  assert.equal(await spool.settle({ keep: "public" }), false, "nothing of it can be kept");
  assert.equal(disk.bytes(), 0);
  await eventually(() => openSpools(path).length === 0);
});

test("the writer waits for a reader that is slower, for 5 s; then the rest goes by the disk", async (t) => {
  const { path, clock, spoolFor } = await bench(t);
  const bytes = sampleBytes(20 * mib);
  const grown = await spoolFor(bytes);
  const { spool } = grown;
  spool.pass();
  const reader = spool.reader(0);
  let isWritten = false;
  const written = appendAll(spool, bytes).then(() => (isWritten = true));
  await eventually(() => clock.pending > 1);
  const first = bytesOf(reader.segment(0, mib));
  await clock.advance(limits.passMs - 1);
  assert.equal(isWritten, false);
  assert.equal(bytesSpooled(path), 0);
  assert.ok(spool.end <= limits.passedBytesMax + 64 * 1024);
  await clock.advance(1);
  await written;
  assert.ok(first.equals(bytes.subarray(0, first.length)), "what is being read stays what it is");
  const rest = await follow(grown, reader, bytes.length, first.length);
  assert.ok(rest.equals(bytes.subarray(first.length)));
  assert.equal(await spool.finish(), sampleDigest(bytes));
  assert.equal(bytesSpooled(path), bytes.length);
  reader.close();
  await spool.settle("drop");
  await eventually(() => openSpools(path).length === 0);
});

test("a second reader has everything go by the disk from byte 0, for all who come later, and it can be kept", async (t) => {
  const { disk, spoolFor } = await bench(t);
  const bytes = sampleBytes(20 * mib);
  const grown = await spoolFor(bytes);
  const { spool } = grown;
  spool.pass();
  const first = holdAndRead(grown, spool.reader(0), bytes);
  await appendAll(spool, bytes.subarray(0, 3 * mib));
  assert.equal(spool.start, 0);
  const second = holdAndRead(grown, spool.reader(0), bytes);
  await appendAll(spool, bytes.subarray(3 * mib));
  await Promise.all([first, second]);
  assert.ok((await follow(grown, spool.reader(0), bytes.length)).equals(bytes));
  assert.equal(await spool.finish(), sampleDigest(bytes));
  assert.equal(await spool.settle({ keep: "public" }), true);
  assert.equal(disk.stat(sampleDigest(bytes))?.size, bytes.length);
});

test("a reader that may come back finds what it has read, and one that begins ahead holds nothing back", async (t) => {
  const { path, spoolFor } = await bench(t);
  const bytes = sampleBytes(20 * mib);
  const back = await spoolFor(bytes);
  back.spool.pass();
  const reader = back.spool.reader(0);
  reader.keepBehind();
  const ahead = follow(back, reader, bytes.length, 19 * mib);
  await appendAll(back.spool, bytes);
  assert.ok((await ahead).equals(bytes.subarray(19 * mib)));
  assert.ok(bytesOf(reader.segment(0, 100)).equals(bytes.subarray(0, 100)));
  await back.spool.settle("drop");
  reader.close();

  const far = await spoolFor(bytes);
  far.spool.pass();
  const end = follow(far, far.spool.reader(0), bytes.length, 19 * mib);
  await appendAll(far.spool, bytes);
  assert.ok((await end).equals(bytes.subarray(19 * mib)));
  await eventually(() => bytesSpooled(path) === 0);
  await far.spool.settle("drop");
});

test("what went to the disk from the middle on is there for its reader, and can be neither joined nor kept", async (t) => {
  const { path, clock, disk, spoolFor } = await bench(t);
  const bytes = sampleBytes(20 * mib);
  const grown = await spoolFor(bytes);
  const { spool } = grown;
  spool.pass();
  const reader = spool.reader(0);
  const written = appendAll(spool, bytes);
  const begun = await follow(grown, reader, 9 * mib);
  await eventually(() => clock.pending > 1);
  await clock.advance(limits.passMs);
  await written;
  const rest = await follow(grown, reader, bytes.length, begun.length);
  assert.ok(Buffer.concat([begun, rest]).equals(bytes));
  assert.equal(await spool.finish(), sampleDigest(bytes));
  assert.ok(spool.start > 0 && spool.start <= 9 * mib);
  assert.throws(() => spool.reader(0), RangeError);
  spool.reader(spool.start).close();
  assert.equal(await spool.settle({ keep: "public" }), false);
  reader.close();
  assert.deepEqual(readdirSync(`${path}/v1/spool`), []);
  assert.equal(disk.bytes(), 0);
});

test("who joins when all bytes have come, before they are verified, can have them kept", async (t) => {
  const write: Fs["write"] = async (fd, chunks, position) => {
    await sleep(50);
    return nodeFs.write(fd, chunks, position);
  };
  const { disk, spoolFor } = await bench(t, { fs: { write } });
  const bytes = sampleBytes(3 * mib);
  const { spool } = await spoolFor(bytes);
  spool.pass();
  await appendAll(spool, bytes);
  for (const reader of [spool.reader(0), spool.reader(0)]) reader.close();
  assert.equal(await spool.finish(), sampleDigest(bytes));
  assert.equal(await spool.settle({ keep: "public" }), true);
  assert.equal(disk.stat(sampleDigest(bytes))?.size, bytes.length);
});

test("nothing leaves memory on its way to the disk before it is there", async (t) => {
  const gate = Promise.withResolvers<void>();
  const write: Fs["write"] = async (fd, chunks, position) => {
    await gate.promise;
    return nodeFs.write(fd, chunks, position);
  };
  const { spoolFor } = await bench(t, { fs: { write } });
  const bytes = sampleBytes(9 * mib);
  const grown = await spoolFor(bytes);
  const { spool } = grown;
  spool.pass();
  const reader = spool.reader(0);
  await appendAll(spool, bytes.subarray(0, 3 * mib));
  await follow(grown, reader, 2 * mib);
  reader.keepBehind();
  const held: (void | Promise<void>)[] = [];
  for (const chunk of chunksOf(bytes.subarray(3 * mib), mib)) {
    reader.skip(spool.end);
    held.push(spool.append(chunk));
    await sleep(20);
  }
  assert.ok(held.every((waits) => waits instanceof Promise));
  gate.resolve();
  await Promise.all(held);
  assert.equal(spool.start, 0);
  assert.ok((await follow(grown, spool.reader(0), bytes.length)).equals(bytes));
  assert.equal(await spool.finish(), sampleDigest(bytes));
  await spool.settle("drop");
});

test("without a reader nothing holds the writer back, and memory stays bounded", async (t) => {
  const { path, spoolFor } = await bench(t);
  const bytes = sampleBytes(30 * mib);
  const { spool } = await spoolFor(bytes);
  spool.pass();
  await appendAll(spool, bytes);
  assert.ok(spool.end - spool.start <= limits.passedBytesMax + limits.hashStepBytes);
  assert.equal(await spool.finish(), sampleDigest(bytes));
  assert.equal(bytesSpooled(path), 0);
  await spool.settle("drop");
});

for (const refusedAt of [0, 3_000_000])
  test(`a disk that refuses at byte ${refusedAt} when it is needed after all costs no reader a byte`, async (t) => {
    const { path, disk, spoolFor } = await bench(t, { fs: refusingAfter(refusedAt, "ENOSPC") });
    const bytes = sampleBytes(20 * mib);
    const grown = await spoolFor(bytes);
    const { spool } = grown;
    spool.pass();
    await appendAll(spool, bytes.subarray(0, 2 * mib + 5));
    const reads = [spool.reader(0), spool.reader(0)].map((reader) => holdAndRead(grown, reader, bytes));
    await appendAll(spool, bytes.subarray(2 * mib + 5));
    await Promise.all(reads);
    assert.equal(await spool.finish(), sampleDigest(bytes));
    assert.equal(await spool.settle({ keep: "public" }), false);
    assert.equal(disk.bytes(), 0);
    await eventually(() => openSpools(path).length === 0);
  });

test("a hash thread that dies ends the fill with an error, and no writer hangs", async (t) => {
  const { Worker } = await import("node:worker_threads");
  const dying = () =>
    new Worker('require("node:worker_threads").parentPort.once("message", () => process.exit(7))', { eval: true });
  const { spoolFor } = await bench(t, { hashing: makeHashing({ openThread: dying, threadsMax: 1 }) });
  const bytes = sampleBytes(9 * mib);
  const { spool } = await spoolFor(bytes);
  spool.pass();
  await appendAll(spool, bytes);
  await assert.rejects(spool.finish(), { name: "PullringError", code: "cut" });
  await spool.settle("drop");
});

test("dropped while it moves to the disk, it leaves no file and no descriptor, and its readers go on", async (t) => {
  const { disk, path, spoolFor } = await bench(t);
  const bytes = sampleBytes(3 * mib);
  const grown = await spoolFor(bytes);
  const { spool } = grown;
  spool.pass();
  await appendAll(spool, bytes);
  const readers = [spool.reader(0), spool.reader(0)];
  const settled = spool.settle("drop");
  for (const reader of readers) assert.ok((await follow(grown, reader, bytes.length)).equals(bytes));
  assert.equal(await settled, false);
  for (const reader of readers) reader.close();
  assert.deepEqual(readdirSync(`${path}/v1/spool`), []);
  await eventually(() => openSpools(path).length === 0);
  assert.equal(disk.bytes(), 0);
});

test("whoever reads, in whatever pieces and at whatever pace, gets the bytes that were sent", async (t) => {
  const { spoolFor, disk } = await bench(t);
  const bytes = sampleBytes(12 * mib + 345);
  const reading = fc.record({
    /** When it comes, by bytes appended. */
    at: fc.integer({ min: 0, max: 6 * mib }),
    turns: fc.integer({ min: 0, max: 4 }),
    comesBack: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(reading, { minLength: 1, maxLength: 4 }),
      fc.integer({ min: 10_000, max: 700_000 }),
      async (readings, chunkLength) => {
        const grown = await spoolFor(bytes);
        const { spool } = grown;
        spool.pass();
        const pending = readings.toSorted((left, right) => left.at - right.at);
        const read: Promise<void>[] = [];
        for (let at = 0; at < bytes.length; at += chunkLength) {
          while ((pending[0]?.at ?? Infinity) <= at) {
            const { turns = 0, comesBack = false } = pending.shift() ?? {};
            if (spool.start > 0) continue;
            const reader = spool.reader(0);
            if (comesBack) reader.keepBehind();
            read.push(holdAndRead(grown, reader, bytes, turns).then(() => reader.close()));
          }
          await spool.append(Buffer.from(bytes.subarray(at, at + chunkLength)));
        }
        assert.equal(await spool.finish(), sampleDigest(bytes));
        await Promise.all(read);
        await spool.settle("drop");
        assert.equal(disk.bytes(), 0);
      },
    ),
    { numRuns: 25 },
  );
});
