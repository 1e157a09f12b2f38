import type { Digest } from "@pullring/oci";

import { bytesBody } from "./body.ts";
import type { BlobStore, MemoryStore, Spool, StoredBlob, StoredBytes } from "./ports.ts";

/** Puts a memory tier before a store: bodies up to `bytesMax` and everything that is read whole stay in memory too. */
export function withMemory(store: BlobStore, memory: MemoryStore, bytesMax: number): BlobStore {
  async function read(digest: Digest): Promise<StoredBytes | undefined> {
    const entry = memory.get(digest);
    if (entry) return { ...entry, tier: "memory" };
    const stored = await store.read(digest);
    if (stored) memory.put(digest, { bytes: stored.bytes, access: stored.access });
    return stored;
  }

  async function open(digest: Digest): Promise<StoredBlob | undefined> {
    const size = memory.get(digest)?.bytes.length ?? store.stat(digest)?.size;
    if (size === undefined || size > bytesMax) return store.open(digest);
    const stored = await read(digest);
    return stored && { access: stored.access, tier: stored.tier, body: bytesBody(stored.bytes) };
  }

  return {
    open,
    read,
    stat(digest) {
      const entry = memory.get(digest);
      return entry ? { size: entry.bytes.length, access: entry.access } : store.stat(digest);
    },
    spool: async (digest, options) => rememberSmall(await store.spool(digest, options), { digest, memory, bytesMax }),
    async remove(digest) {
      memory.remove(digest);
      await store.remove(digest);
    },
  };
}

/** Copies what goes into the spool while it is small, so that a kept body is in memory at once, even without a disk. */
function rememberSmall(spool: Spool, at: { digest: Digest; memory: MemoryStore; bytesMax: number }): Spool {
  let chunks: Uint8Array[] = [];
  let length = 0;
  return {
    get start() {
      return spool.start;
    },
    get end() {
      return spool.end;
    },
    pass: () => spool.pass(),
    append(chunk) {
      length += chunk.length;
      if (length <= at.bytesMax) chunks.push(Buffer.from(chunk));
      else chunks = [];
      return spool.append(chunk);
    },
    finish: () => spool.finish(),
    async settle(outcome) {
      const kept = await spool.settle(outcome);
      const small = outcome !== "drop" && length <= at.bytesMax;
      if (small) at.memory.put(at.digest, { bytes: Buffer.concat(chunks), access: outcome.keep });
      return kept || small;
    },
    reader: (offset) => spool.reader(offset),
  };
}
