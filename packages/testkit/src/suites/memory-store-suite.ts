import assert from "node:assert/strict";
import { describe, test } from "node:test";

import type { MemoryStore } from "@pullring/core";

import { sampleBytes, sampleDigest } from "./sample.ts";

export interface MemoryStoreSuiteOptions {
  readonly name: string;
  readonly make: (options: { bytesMax: number; entryBytesMax: number }) => MemoryStore;
}

/** What every MemoryStore keeps to. */
export function memoryStoreSuite({ name, make }: MemoryStoreSuiteOptions): void {
  const entry = (seed: number, length = 1_000) => {
    const bytes = sampleBytes(length, seed);
    return [sampleDigest(bytes), { bytes, access: "public" as const }] as const;
  };

  describe(`memory store: ${name}`, () => {
    test("what was put is there until it is removed", () => {
      const store = make({ bytesMax: 100_000, entryBytesMax: 10_000 });
      const [digest, stored] = entry(1);
      assert.equal(store.get(digest), undefined);
      store.put(digest, stored);
      assert.deepEqual(store.get(digest), stored);
      store.remove(digest);
      store.remove(digest);
      assert.equal(store.get(digest), undefined);
    });

    test("the bound on bytes holds, and the least recently used goes first", () => {
      const store = make({ bytesMax: 50_000, entryBytesMax: 10_000 });
      const [used, first] = entry(1);
      store.put(used, first);
      const others = Array.from({ length: 100 }, (_, index) => entry(index + 2));
      for (const [digest, stored] of others) {
        store.put(digest, stored);
        assert.ok(store.get(used), "what is used stays");
      }
      const left = others.filter(([digest]) => store.get(digest) !== undefined);
      assert.ok(left.length * 1_000 <= 50_000);
      assert.ok(left.length > 10);
      assert.ok(left.includes(others.at(-1)!));
    });

    test("an entry above its bound is not taken and pushes nothing out", () => {
      const store = make({ bytesMax: 50_000, entryBytesMax: 10_000 });
      const [digest, stored] = entry(1);
      store.put(digest, stored);
      const [large, rejected] = entry(2, 10_001);
      store.put(large, rejected);
      assert.equal(store.get(large), undefined);
      assert.deepEqual(store.get(digest), stored);
    });

    test("a store without room takes nothing", () => {
      const store = make({ bytesMax: 0, entryBytesMax: 10_000 });
      const [digest, stored] = entry(1);
      store.put(digest, stored);
      assert.equal(store.get(digest), undefined);
    });
  });
}
