import { type Access, PullringError, type SharedBlobs } from "@pullring/core";
import type { Digest } from "@pullring/oci";

import type { MemoryBlobStore } from "./memory-store.ts";

/** Shared storage in memory, with failures on demand. */
export interface MemoryShared {
  readonly held: Map<Digest, { readonly bytes: Buffer; readonly access: Access }>;
  readonly quarantined: Digest[];
  isDown: boolean;
  /** As a node sees it that keeps its blobs in `store`. */
  of(store: MemoryBlobStore): SharedBlobs;
}

export function memoryShared(): MemoryShared {
  const lane = (access: Access) => ({ name: "s3", access });
  const memory: MemoryShared = {
    held: new Map(),
    quarantined: [],
    isDown: false,
    of: (store) => ({
      async get({ digest, offset, end }, sink) {
        if (memory.isDown) throw new PullringError("unavailable", "shared storage is down");
        const entry = memory.held.get(digest);
        if (!entry) throw new PullringError("missing", "not in shared storage");
        sink.head({ lane: lane(entry.access), offset, size: entry.bytes.length, resumable: true });
        await sink.write(entry.bytes.subarray(offset, end));
      },
      stat(digest) {
        const entry = memory.isDown ? undefined : memory.held.get(digest);
        return Promise.resolve(entry && { size: entry.bytes.length, access: entry.access });
      },
      upload(digest) {
        const entry = store.held.get(digest);
        if (entry && !memory.isDown) memory.held.set(digest, entry);
      },
      quarantine: (digest) => void memory.quarantined.push(digest),
      remove(digest) {
        memory.held.delete(digest);
        return Promise.resolve();
      },
    }),
  };
  return memory;
}
