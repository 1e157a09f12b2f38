import assert from "node:assert/strict";
import { describe, test } from "node:test";

import type { Access, BlobStore } from "@pullring/core";
import type { Digest } from "@pullring/oci";

import { readBody } from "./read-body.ts";
import { sampleBytes, sampleDigest } from "./sample.ts";

export interface BlobStoreSuiteOptions {
  readonly name: string;
  /** An empty store; `close` is called at the end of the test that opened it. */
  readonly open: () => Promise<{ readonly store: BlobStore; readonly close: () => Promise<void> }>;
}

/** Puts bytes into a store as a fill does. */
export async function keep(store: BlobStore, bytes: Uint8Array, access: Access = "public"): Promise<Digest> {
  const digest = sampleDigest(bytes);
  const spool = await store.spool(digest, { onGrow: () => {} });
  await spool.append(bytes);
  assert.equal(await spool.finish(), digest);
  assert.equal(await spool.settle({ keep: access }), true);
  return digest;
}

async function readBack(store: BlobStore, digest: Digest): Promise<Buffer | undefined> {
  const stored = await store.open(digest);
  if (!stored) return undefined;
  try {
    return await readBody(stored.body);
  } finally {
    stored.body.close();
  }
}

/** What every BlobStore keeps to. */
export function blobStoreSuite({ name, open }: BlobStoreSuiteOptions): void {
  const check = (promise: string, run: (store: BlobStore) => Promise<void>): void => {
    test(promise, async () => {
      const { store, close } = await open();
      try {
        await run(store);
      } finally {
        await close();
      }
    });
  };

  describe(`blob store: ${name}`, () => {
    check("what was never kept is a miss", async (store) => {
      const digest = sampleDigest(Buffer.from("never"));
      assert.equal(await store.open(digest), undefined);
      assert.equal(await store.read(digest), undefined);
      assert.equal(store.stat(digest), undefined);
      await store.remove(digest);
    });

    for (const length of [0, 1, 300_000, 3_000_000])
      check(`a blob of ${length} bytes is read back as it was kept`, async (store) => {
        const bytes = sampleBytes(length);
        const digest = await keep(store, bytes, "linked");
        assert.deepEqual(
          { size: store.stat(digest)?.size, access: store.stat(digest)?.access },
          { size: length, access: "linked" },
        );
        assert.deepEqual(await readBack(store, digest), bytes);
        assert.deepEqual((await store.read(digest))?.bytes, bytes);
        assert.equal((await store.read(digest))?.access, "linked");
      });

    check("any part of a blob can be read, and none past the end asked for", async (store) => {
      const bytes = sampleBytes(200_000);
      const stored = await store.open(await keep(store, bytes));
      assert.ok(stored);
      for (const [from, to] of [
        [0, 1],
        [70_000, 70_001],
        [199_999, 200_000],
        [1, 199_999],
      ] as const)
        assert.deepEqual(await readBody(stored.body, from, to), bytes.subarray(from, to));
      stored.body.close();
      stored.body.close();
    });

    check("a dropped spool leaves nothing", async (store) => {
      const bytes = sampleBytes(50_000);
      const digest = sampleDigest(bytes);
      const spool = await store.spool(digest, { onGrow: () => {} });
      await spool.append(bytes);
      assert.equal(await spool.settle("drop"), false);
      assert.equal(store.stat(digest), undefined);
      assert.equal(await store.open(digest), undefined);
    });

    check("a removed blob is a miss, and whoever reads it goes on", async (store) => {
      const bytes = sampleBytes(100_000);
      const digest = await keep(store, bytes);
      const stored = await store.open(digest);
      assert.ok(stored);
      await store.remove(digest);
      assert.equal(store.stat(digest), undefined);
      assert.equal(await store.open(digest), undefined);
      assert.deepEqual(await readBody(stored.body), bytes);
      stored.body.close();
      await keep(store, bytes);
      assert.deepEqual(await readBack(store, digest), bytes);
    });

    check("a blob becomes public when an anonymous lane brings it, and stays so", async (store) => {
      const bytes = sampleBytes(1_000);
      const digest = await keep(store, bytes, "linked");
      assert.equal((await store.open(digest))?.access, "linked");
      await keep(store, bytes, "public");
      assert.equal(store.stat(digest)?.access, "public");
      await keep(store, bytes, "linked");
      assert.equal(store.stat(digest)?.access, "public");
    });

    check("two fills of one digest do not disturb each other", async (store) => {
      const bytes = sampleBytes(400_000);
      const digest = sampleDigest(bytes);
      const spools = await Promise.all([1, 2].map(() => store.spool(digest, { onGrow: () => {} })));
      for (const spool of spools) await spool.append(bytes);
      for (const spool of spools) assert.equal(await spool.finish(), digest);
      assert.deepEqual(await Promise.all(spools.map((spool) => spool.settle({ keep: "public" }))), [true, true]);
      assert.deepEqual(await readBack(store, digest), bytes);
    });
  });
}
