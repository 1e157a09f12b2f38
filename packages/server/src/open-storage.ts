import { limits, makePins, withMemory, type BlobStore, type Pins, type RecordStore } from "@pullring/core";
import type { Digest } from "@pullring/oci";
import {
  lockDisk,
  makeMemory,
  openDisk,
  openRecords,
  withSharedRecords,
  type Disk,
  type Memory,
  type Records,
  type S3,
} from "@pullring/storage";

import { openShared, type SharedOptions } from "./open-shared.ts";
import type { Parts } from "./parts.ts";
import { StartError } from "./start-error.ts";

export interface Storage {
  /** Memory before disk. */
  readonly store: BlobStore;
  /** Those of this node before those that all share. */
  readonly records: RecordStore;
  /** The links that this node has on disk: which digests there are, and where. */
  readonly links: () => ReturnType<Records["list"]>;
  /** The tags that this node has on disk. */
  readonly tags: () => ReturnType<Records["list"]>;
  /** The repositories that this node has a link to the digest of. */
  readonly linked: Records["linked"];
  /** Removes the records of a repository from before then. S3's own are removed once, by who orders it. */
  readonly purgeRecords: Records["purge"];
  /** Shared by all nodes, where it is configured. */
  readonly s3: S3 | undefined;
  readonly pins: Pins;
  readonly disk: Disk;
  readonly memory: Memory;
  close(): Promise<void>;
}

/** Opens what is on disk. A disk that can't be used is no failure: the node then keeps small things in memory only. */
export async function openStorage(parts: Parts, sharing: Omit<SharedOptions, "local">): Promise<Storage> {
  const { config, clock, log, metrics, ledger } = parts;
  const { storage } = config;
  const lock = await lockDisk(storage.disk.path).catch((error: unknown) => {
    throw new StartError(`storage.disk.path: ${storage.disk.path} is in use by another Pullring`, { cause: error });
  });
  const pinned: { by?: Pins } = {};
  const disk = await openDisk({
    ...storage.disk,
    clock,
    log,
    isPinned: (digest) => pinned.by?.isPinned(digest) ?? false,
    onEvict: (digest) => {
      metrics.evicted("disk");
      ledger?.observe({ kind: "gone", digest, why: "evicted" });
    },
    onMismatch: (digest, detail) => {
      ledger?.observe({ kind: "gone", digest, why: "corrupt" });
      metrics.digestMismatch("disk");
      log.error({ digest, detail }, "bytes on the disk do not hash to their digest; they are removed");
    },
  });
  const onEvict = (): void => metrics.evicted("memory");
  const memory = makeMemory({ bytesMax: storage.memoryBytesMax, entryBytesMax: limits.manifestBytesMax, onEvict });
  const own = await openRecords({ path: storage.disk.path, log });
  const store = withMemory(disk, memory, limits.verifyFirstBytesMax);
  const pins = makePins(storage.pin, store);
  pinned.by = pins;
  if (storage.pin.length > 0) await restorePins(own, pins);
  const s3 = await openShared(parts, { ...sharing, local: disk });
  const records = s3 ? withSharedRecords(own, s3.records, clock) : own;
  const close = async (): Promise<void> => {
    await s3?.close();
    await disk.close();
    await lock?.release();
  };
  return {
    store,
    records,
    links: () => own.list("link"),
    tags: () => own.list("tag"),
    linked: (digest) => own.linked(digest),
    async purgeRecords(repository, beforeMs) {
      s3?.records.forget(repository);
      await own.purge(repository, beforeMs);
    },
    s3,
    pins,
    disk,
    memory,
    close,
  };
}

/** Pins follow tags, so the tags that are known from before this start must be seen once. */
async function restorePins(records: Records, pins: Pins): Promise<void> {
  for await (const { key, value } of records.list("tag")) {
    const { digest } = value as { digest?: Digest };
    if (digest) await pins.moved(key.repository, key.name, digest);
  }
}
