import assert from "node:assert/strict";
import { test } from "node:test";

import type { Digest } from "@pullring/oci";
import { memoryStoreSuite, sampleBytes, sampleDigest } from "@pullring/testkit";

import { makeMemory } from "./memory.ts";

memoryStoreSuite({ name: "lru", make: makeMemory });

test("the bytes held and the entries that had to make room are told", () => {
  const evicted: Digest[] = [];
  const memory = makeMemory({ bytesMax: 10_000, entryBytesMax: 10_000, onEvict: (digest) => evicted.push(digest) });
  const digests = Array.from({ length: 20 }, (_, seed) => {
    const bytes = sampleBytes(1_000, seed);
    const digest = sampleDigest(bytes);
    memory.put(digest, { bytes, access: "public" });
    return digest;
  });
  assert.ok(memory.bytes() <= 10_000 && memory.bytes() >= 5_000);
  assert.deepEqual(evicted, digests.slice(0, 20 - memory.objects()));
  memory.remove(digests.at(-1)!);
  memory.put(digests.at(-2)!, { bytes: sampleBytes(1_000, 18), access: "linked" });
  assert.equal(evicted.length, 20 - memory.objects() - 1, "what is removed or replaced is not evicted");
});

test("a small slice does not keep the large buffer that it was cut from", () => {
  const memory = makeMemory({ bytesMax: 10_000, entryBytesMax: 10_000 });
  const large = sampleBytes(1_000_000);
  const bytes = large.subarray(10, 1_010);
  const digest = sampleDigest(bytes);
  memory.put(digest, { bytes, access: "public" });
  assert.deepEqual(memory.get(digest)?.bytes, bytes);
  assert.ok((memory.get(digest)?.bytes.buffer.byteLength ?? Infinity) < 10_000);
});
