import assert from "node:assert/strict";
import { readdirSync, truncateSync } from "node:fs";
import { test } from "node:test";

import type { Spool, SpoolReader } from "@pullring/core";
import { appendAll, bytesOf, chunksOf, eventually, follow, sampleBytes, sampleDigest } from "@pullring/testkit";

import { nodeFs, type Fs } from "./fs.ts";
import { makeHashing, type Hashing } from "./hashing.ts";
import { limits } from "./limits.ts";
import { bench, errno, mib, openSpools, refusingAfter } from "./test-spools.ts";

const diskless: Partial<Fs> = {
  open: (path, flags) => (flags === "wx+" ? Promise.reject(errno("EROFS")) : nodeFs.open(path, flags)),
};

/** Writes without waiting, and tells whether the last append asked to wait. */
function appendNow(spool: Spool, bytes: Buffer): Promise<void> | undefined {
  return [...chunksOf(bytes, 64 * 1024)].map((chunk) => spool.append(chunk) ?? undefined).at(-1);
}

function readTo(spool: Spool, reader: SpoolReader, from: number, to: number): Buffer {
  const parts: Buffer[] = [];
  for (let at = from; at < to; at += parts.at(-1)?.length ?? 0) parts.push(bytesOf(reader.segment(at, to - at)));
  assert.ok(spool.end >= to);
  return Buffer.concat(parts);
}

test("chunks that come while a write runs go out together in the next one", async (t) => {
  const writes: number[] = [];
  const gate = Promise.withResolvers<void>();
  const write: Fs["write"] = async (fd, chunks, position) => {
    writes.push(chunks.reduce((sum, { length }) => sum + length, 0));
    if (writes.length === 1) await gate.promise;
    return nodeFs.write(fd, chunks, position);
  };
  const { spoolFor } = await bench(t, { fs: { write } });
  const bytes = sampleBytes(20 * 64 * 1024);
  const { spool, reach } = await spoolFor(bytes);
  void appendNow(spool, bytes);
  await eventually(() => writes.length === 1);
  gate.resolve();
  await reach(bytes.length);
  assert.deepEqual(writes, [64 * 1024, 19 * 64 * 1024], "the first chunk did not wait for others");
  await spool.settle("drop");
});

test("the writer is held back while more than 4 MiB wait to be written", async (t) => {
  const gate = Promise.withResolvers<void>();
  const write: Fs["write"] = async (fd, chunks, position) => {
    await gate.promise;
    return nodeFs.write(fd, chunks, position);
  };
  const { spoolFor } = await bench(t, { fs: { write } });
  const bytes = sampleBytes(5 * mib);
  const { spool } = await spoolFor(bytes);
  assert.equal(appendNow(spool, bytes.subarray(0, 4 * mib)), undefined);
  const held = appendNow(spool, bytes.subarray(4 * mib));
  assert.ok(held);
  gate.resolve();
  await held;
  assert.ok(spool.end >= 3 * mib);
  assert.equal(await spool.finish(), sampleDigest(bytes));
  await spool.settle("drop");
});

test("a short write is completed, not repeated", async (t) => {
  const write: Fs["write"] = (fd, chunks, position) => {
    const whole = Buffer.concat(chunks);
    return nodeFs.write(fd, [whole.subarray(0, Math.ceil(whole.length / 3))], position);
  };
  const { disk, spoolFor } = await bench(t, { fs: { write } });
  const bytes = sampleBytes(1_000_000);
  const { spool } = await spoolFor(bytes);
  await appendAll(spool, bytes, 333_333);
  assert.equal(await spool.finish(), sampleDigest(bytes));
  assert.equal(await spool.settle({ keep: "public" }), true);
  assert.equal(disk.stat(sampleDigest(bytes))?.size, bytes.length);
});

test("a full disk evicts once, and the write goes on", async (t) => {
  let full = false;
  const fs: Partial<Fs> = {
    write: (fd, chunks, position) => (full ? Promise.reject(errno("ENOSPC")) : nodeFs.write(fd, chunks, position)),
    async unlink(path) {
      await nodeFs.unlink(path);
      if (path.includes("/blobs/")) full = false;
    },
  };
  const { disk, spoolFor } = await bench(t, { fs });
  const old = sampleBytes(1_000, 1);
  const { spool: first } = await spoolFor(old);
  await first.append(old);
  await first.finish();
  await first.settle({ keep: "public" });
  full = true;
  const bytes = sampleBytes(500_000, 2);
  const { spool } = await spoolFor(bytes);
  await appendAll(spool, bytes);
  assert.equal(await spool.finish(), sampleDigest(bytes));
  assert.equal(await spool.settle({ keep: "public" }), true);
  assert.equal(disk.stat(sampleDigest(old)), undefined);
});

for (const code of ["ENOSPC", "EIO", "EROFS"])
  for (const refusedAt of [0, 1, 200_000, 3_000_000])
    test(`${code} at byte ${refusedAt} of a write: readers get every byte, nothing is kept`, async (t) => {
      const { disk, path, spoolFor } = await bench(t, { fs: refusingAfter(refusedAt, code) });
      const bytes = sampleBytes(12_000_000);
      const grown = await spoolFor(bytes);
      const read = Promise.all([1, 2].map(() => follow(grown, grown.spool.reader(0), bytes.length)));
      await appendAll(grown.spool, bytes);
      assert.equal(await grown.spool.finish(), sampleDigest(bytes));
      for (const found of await read) assert.ok(found.equals(bytes));
      assert.equal(await grown.spool.settle({ keep: "public" }), false);
      assert.equal(disk.stat(sampleDigest(bytes)), undefined);
      assert.deepEqual(readdirSync(`${path}/v1/spool`), []);
      assert.equal(disk.bytes(), 0);
      await eventually(() => openSpools(path).length === 0);
    });

test("without a disk at most 8 MiB stay in memory, and the slowest reader holds the writer back", async (t) => {
  const { spoolFor } = await bench(t, { fs: diskless });
  const bytes = sampleBytes(12 * mib);
  const { spool } = await spoolFor(bytes);
  const [slow, fast] = [spool.reader(0), spool.reader(0)];
  await appendNow(spool, bytes.subarray(0, 8 * mib));
  const held = appendNow(spool, bytes.subarray(8 * mib, 9 * mib));
  assert.ok(held);
  readTo(spool, fast, 0, 9 * mib);
  assert.equal(spool.start, 0, "what the slow one needs is still there");
  spool.reader(0).close();
  readTo(spool, slow, 0, 2 * mib);
  await held;
  assert.ok(spool.start > 0 && spool.start <= 2 * mib);
  assert.ok(spool.end - spool.start <= limits.windowBytesMax);
  assert.throws(() => spool.reader(0), RangeError);
  spool.reader(spool.start).close();
  slow.close();
  fast.close();
  await spool.settle("drop");
});

test("without a disk and without readers nothing holds the writer back, and memory stays bounded", async (t) => {
  const { spoolFor } = await bench(t, { fs: diskless });
  const bytes = sampleBytes(30 * mib);
  const { spool } = await spoolFor(bytes);
  await appendAll(spool, bytes);
  assert.ok(spool.end - spool.start <= limits.windowBytesMax);
  assert.equal(await spool.finish(), sampleDigest(bytes));
  assert.equal(await spool.settle({ keep: "public" }), false);
});

test("a reader that stands still for 10 s in a full window is cut, and the others go on", async (t) => {
  const { spoolFor, clock } = await bench(t, { fs: diskless });
  const bytes = sampleBytes(20 * mib);
  const grown = await spoolFor(bytes);
  const { spool } = grown;
  const stalled = spool.reader(0);
  const asleep = clock.pending;
  const followed = follow(grown, spool.reader(0), bytes.length);
  const written = appendAll(spool, bytes);
  await eventually(() => clock.pending > asleep);
  await clock.advance(limits.readerPatienceMs - 1);
  assert.equal(spool.start, 0);
  await clock.advance(1);
  await written;
  assert.ok((await followed).equals(bytes));
  assert.throws(() => stalled.segment(0, 1), { name: "PullringError", code: "cut" });
  stalled.close();
  assert.equal(await spool.finish(), sampleDigest(bytes));
  await spool.settle("drop");
});

test("a reader that waits far ahead holds no window back", async (t) => {
  const { spoolFor } = await bench(t, { fs: diskless });
  const bytes = sampleBytes(20 * mib);
  const grown = await spoolFor(bytes);
  const ahead = follow(grown, grown.spool.reader(0), bytes.length, 19 * mib);
  await appendAll(grown.spool, bytes);
  assert.ok((await ahead).equals(bytes.subarray(19 * mib)));
  await grown.spool.settle("drop");
});

/** A hash thread that dies of its first message. */
const dyingThread = async () => {
  const { Worker } = await import("node:worker_threads");
  return new Worker('require("node:worker_threads").parentPort.once("message", () => process.exit(7))', { eval: true });
};

async function hashingWithDeaths(deaths: number): Promise<Hashing> {
  const { Worker } = await import("node:worker_threads");
  const dying = await Promise.all(Array.from({ length: deaths }, dyingThread));
  const openThread = () => dying.pop() ?? new Worker(new URL("./hash-worker.ts", import.meta.url));
  return makeHashing({ openThread, threadsMax: 1 });
}

test("a hash thread that dies is replaced, and the file hashed from its start", async (t) => {
  const { spoolFor } = await bench(t, { hashing: await hashingWithDeaths(1) });
  const bytes = sampleBytes(2_000_000);
  const { spool } = await spoolFor(bytes);
  await appendAll(spool, bytes);
  assert.equal(await spool.finish(), sampleDigest(bytes));
  assert.equal(await spool.settle({ keep: "public" }), true);
});

test("two deaths in a row end the fill with an error, and its spool serves no other", async (t) => {
  const { spoolFor, path } = await bench(t, { hashing: await hashingWithDeaths(2) });
  const bytes = sampleBytes(2_000_000);
  const { spool } = await spoolFor(bytes);
  await appendAll(spool, bytes);
  await assert.rejects(spool.finish(), { name: "PullringError", code: "cut" });
  assert.equal(spool.start, spool.end);
  await spool.settle("drop");
  await eventually(() => openSpools(path).length === 0);
});

test("without a file to read again, one death ends the fill with an error, and no writer hangs", async (t) => {
  const { spoolFor } = await bench(t, { fs: diskless, hashing: await hashingWithDeaths(1) });
  const bytes = sampleBytes(6 * mib);
  const { spool } = await spoolFor(bytes);
  await appendAll(spool, bytes);
  await assert.rejects(spool.finish(), { name: "PullringError", code: "cut" });
  await spool.settle("drop");
});

test("what is hashed is what the disk gives back, not what was sent", async (t) => {
  const { spoolFor, path } = await bench(t);
  const bytes = sampleBytes(2_000_000);
  const { spool, reach } = await spoolFor(bytes);
  await spool.append(bytes.subarray(0, 100_000));
  await reach(100_000);
  const [name] = readdirSync(`${path}/v1/spool`);
  truncateSync(`${path}/v1/spool/${name}`, 50_000);
  await appendAll(spool, bytes.subarray(100_000));
  assert.notEqual(await spool.finish(), sampleDigest(bytes));
  await spool.settle("drop");
});

test("who comes after the file was let go is told that its first bytes are gone", async (t) => {
  const { disk, spoolFor } = await bench(t);
  const bytes = sampleBytes(500_000);
  const { spool } = await spoolFor(bytes);
  await appendAll(spool, bytes);
  await spool.finish();
  await spool.settle({ keep: "public" });
  assert.equal(spool.start, 0, "the file is still open among the last used ones");
  spool.reader(0).close();
  await disk.remove(sampleDigest(bytes));
  assert.equal(spool.start, bytes.length);
  assert.throws(() => spool.reader(0), RangeError);
});

test("a spool dropped in the middle of a write leaves no file and no descriptor", async (t) => {
  const gate = Promise.withResolvers<void>();
  const write: Fs["write"] = async (fd, chunks, position) => {
    await gate.promise;
    return nodeFs.write(fd, chunks, position);
  };
  const { disk, path, spoolFor } = await bench(t, { fs: { write } });
  const bytes = sampleBytes(6 * mib);
  const { spool } = await spoolFor(bytes);
  const held = appendNow(spool, bytes);
  const settled = spool.settle("drop");
  await eventually(() => readdirSync(`${path}/v1/spool`).length === 0);
  assert.equal(openSpools(path).length, 1, "the write still needs it");
  gate.resolve();
  await held;
  assert.equal(await settled, false);
  await eventually(() => openSpools(path).length === 0);
  assert.equal(disk.bytes(), 0);
});
