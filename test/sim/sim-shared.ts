import { type Access, type BlobStore, PullringError, type SharedBlobs } from "@pullring/core";
import type { MemoryBlobStore } from "@pullring/testkit";
import type { Digest } from "@pullring/oci";

import { name } from "./sim-upstream.ts";
import type { SimProcess } from "./sim-process.ts";
import type { World } from "./world.ts";

export interface SimShared {
  readonly held: Map<Digest, { readonly bytes: Buffer; readonly access: Access }>;
  /** How many faults make it so. */
  downs: number;
  corruptions: number;
  of(store: MemoryBlobStore, process: SimProcess): SharedBlobs;
}

/** Shared storage that may fail, send wrong bytes, or less than all. */
export function makeSimShared(world: World): SimShared {
  const { random, clock, note, reached } = world;

  const asked = async (): Promise<void> => {
    await world.hop();
    if (shared.downs > 0) throw new PullringError("unavailable", "shared storage is down");
  };

  const shared: SimShared = {
    held: new Map(),
    downs: 0,
    corruptions: 0,
    of: (store, process) => ({
      get: ({ digest, offset, end, signal }, sink) =>
        process.run(async () => {
          await asked();
          const entry = shared.held.get(digest);
          if (!entry) throw new PullringError("missing", "not in shared storage");
          await process.running();
          signal?.throwIfAborted();
          sink.head({
            lane: { name: "s3", access: entry.access },
            offset,
            size: entry.bytes.length,
            resumable: true,
          });
          const bytes = Buffer.from(entry.bytes.subarray(offset, end));
          if (shared.corruptions > 0 && bytes.length > 0) bytes[0] = (bytes[0] ?? 0) ^ 1;
          const middle = bytes.length >> 1;
          await sink.write(bytes.subarray(0, middle));
          await world.hop();
          await process.running();
          signal?.throwIfAborted();
          if (shared.downs > 0) throw new PullringError("cut", "shared storage broke off");
          await sink.write(bytes.subarray(middle));
          note(`shared storage has sent ${name(digest)}`);
          reached("served from shared storage");
        }),
      stat: (digest) =>
        process.run(async () => {
          const isThere = await asked().then(
            () => true,
            () => false,
          );
          const entry = isThere ? shared.held.get(digest) : undefined;
          return entry && { size: entry.bytes.length, access: entry.access };
        }),
      upload(digest) {
        void process.run(async () => {
          await clock.sleep(random.below(500));
          await process.running();
          // What was purged meanwhile is not there any more.
          const entry = store.held.get(digest);
          if (entry && shared.downs === 0) shared.held.set(digest, entry);
        });
      },
      quarantine: () => {},
      remove: (digest) => process.run(() => void shared.held.delete(digest)),
    }),
  };
  return shared;
}

/** A store whose process may end: what it writes after its death does not land. */
export function storeOf(process: SimProcess, store: BlobStore): BlobStore {
  return {
    open: (digest) => process.run(() => store.open(digest)),
    read: (digest) => process.run(() => store.read(digest)),
    stat: (digest) => store.stat(digest),
    spool: (digest, options) =>
      process.run(async () => process.port(await store.spool(digest, options), ["append", "reader"])),
    remove: (digest) => process.run(() => store.remove(digest)),
  };
}
