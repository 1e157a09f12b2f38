import assert from "node:assert/strict";
import { describe, test } from "node:test";

import type { Spool, SpoolReader } from "@pullring/core";
import type { Digest } from "@pullring/oci";

import { bytesOf } from "./read-body.ts";
import { sampleBytes, sampleDigest } from "./sample.ts";

export interface SpoolSuiteOptions {
  readonly name: string;
  /** A place that opens spools; `close` is called at the end of the test that opened it. */
  readonly open: () => Promise<{
    readonly spool: (digest: Digest, onGrow: () => void) => Promise<Spool>;
    readonly close: () => Promise<void>;
  }>;
}

/** A spool with the means to wait for its growth. */
export interface Grown {
  readonly spool: Spool;
  /** Resolves when `end` has reached the offset. */
  readonly reach: (offset: number) => Promise<void>;
}

export async function openGrown(open: (onGrow: () => void) => Promise<Spool>): Promise<Grown> {
  let waiting: (() => void)[] = [];
  const spool = await open(() => {
    const woken = waiting;
    waiting = [];
    for (const wake of woken) wake();
  });
  return {
    spool,
    async reach(offset) {
      while (spool.end < offset) await new Promise<void>((resolve) => waiting.push(resolve));
    },
  };
}

export function* chunksOf(bytes: Buffer, length: number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

export async function appendAll(spool: Spool, bytes: Buffer, chunkLength = 64 * 1024): Promise<void> {
  for (const chunk of chunksOf(bytes, chunkLength)) await spool.append(Buffer.from(chunk));
}

/** Reads as a response does: as far as the spool goes, then waits for more. */
export async function follow({ spool, reach }: Grown, reader: SpoolReader, size: number, from = 0): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (let at = from; at < size;) {
    reader.skip(at);
    await reach(at + 1);
    const part = bytesOf(reader.segment(at, Math.min(100_000, spool.end - at)));
    parts.push(part);
    at += part.length;
  }
  return Buffer.concat(parts);
}

/** What every Spool keeps to, while its disk is well. */
export function spoolSuite({ name, open }: SpoolSuiteOptions): void {
  const check = (promise: string, digest: Digest, run: (grown: Grown) => Promise<void>): void => {
    test(promise, async () => {
      const place = await open();
      try {
        const grown = await openGrown((onGrow) => place.spool(digest, onGrow));
        await run(grown);
        await grown.spool.settle("drop");
      } finally {
        await place.close();
      }
    });
  };

  const bytes = sampleBytes(3_000_001);
  const digest = sampleDigest(bytes);

  describe(`spool: ${name}`, () => {
    check("what is appended can be read at once or soon, in its order", digest, async ({ spool, reach }) => {
      assert.deepEqual([spool.start, spool.end], [0, 0]);
      const reader = spool.reader(0);
      await spool.append(bytes.subarray(0, 10));
      await reach(10);
      assert.deepEqual(bytesOf(reader.segment(0, 100)), bytes.subarray(0, 10));
      await spool.append(bytes.subarray(10, 5_000));
      await reach(5_000);
      assert.deepEqual(bytesOf(reader.segment(10, 2_000)), bytes.subarray(10, 2_010));
      assert.deepEqual(bytesOf(reader.segment(2_010, 10_000)), bytes.subarray(2_010, 5_000));
      reader.close();
      reader.close();
    });

    check("readers that follow, that come late and that skip ahead all get the same bytes", digest, async (grown) => {
      const { spool } = grown;
      const first = spool.reader(0);
      const followed = follow(grown, first, bytes.length);
      await appendAll(spool, bytes.subarray(0, 1_000_000));
      await grown.reach(1_000_000);
      const late = follow(grown, spool.reader(0), bytes.length);
      const ahead = follow(grown, spool.reader(0), bytes.length, 2_500_000);
      await appendAll(spool, bytes.subarray(1_000_000), 7_777);
      assert.deepEqual(await followed, bytes);
      assert.deepEqual(await late, bytes);
      assert.deepEqual(await ahead, bytes.subarray(2_500_000));
    });

    for (const algorithm of ["sha256", "sha512"] as const)
      for (const length of [0, 1, 262_144, 262_145, 3_000_001]) {
        const body = bytes.subarray(0, length);
        const wanted = sampleDigest(body, algorithm);
        check(`the ${algorithm} of ${length} bytes is told when all are there`, wanted, async ({ spool }) => {
          await appendAll(spool, body, 99_999);
          assert.equal(await spool.finish(), wanted);
          assert.equal(spool.end, length);
        });
      }

    check("the digest told is that of the bytes, not of the name", digest, async ({ spool }) => {
      await appendAll(spool, bytes.subarray(1));
      assert.equal(await spool.finish(), sampleDigest(bytes.subarray(1)));
    });

    for (const outcome of ["drop", { keep: "public" }] as const)
      check(`an open reader goes on after ${JSON.stringify(outcome)}`, digest, async (grown) => {
        const { spool } = grown;
        const reader = spool.reader(0);
        await appendAll(spool, bytes);
        assert.equal(await spool.finish(), digest);
        assert.equal(await spool.settle(outcome), outcome !== "drop");
        assert.deepEqual(await follow(grown, reader, bytes.length), bytes);
        reader.close();
      });

    check("bytes that were appended slowly are all there", digest, async (grown) => {
      const { spool, reach } = grown;
      for (let at = 0; at < 300; at += 1) {
        await spool.append(bytes.subarray(at, at + 1));
        await reach(at + 1);
      }
      assert.deepEqual(await follow(grown, spool.reader(0), 300), bytes.subarray(0, 300));
    });
  });
}
