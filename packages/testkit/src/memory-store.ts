import { createHash } from "node:crypto";

import type { Access, BlobStore, RecordKey, RecordStore, Spool } from "@pullring/core";
import { algorithmOf, type Digest } from "@pullring/oci";

/** A BlobStore in memory, for tests of what stands upon it; passes the same suite as the disk. */
export interface MemoryBlobStore extends BlobStore {
  readonly held: Map<Digest, { readonly bytes: Buffer; readonly access: Access }>;
  /** Spools that were neither kept nor dropped yet. */
  openSpools(): number;
}

export function memoryBlobStore(): MemoryBlobStore {
  const held: MemoryBlobStore["held"] = new Map();
  let open = 0;
  return {
    held,
    openSpools: () => open,
    stat(digest) {
      const entry = held.get(digest);
      return entry && { size: entry.bytes.length, access: entry.access };
    },
    read(digest) {
      const entry = held.get(digest);
      return Promise.resolve(entry && { ...entry, tier: "disk" });
    },
    open(digest) {
      const entry = held.get(digest);
      if (!entry) return Promise.resolve(undefined);
      const { access, bytes } = entry;
      const next = (offset: number, end: number) => ({ bytes: bytes.subarray(offset, end) });
      return Promise.resolve({ access, tier: "disk", body: { size: bytes.length, next, close: () => {} } });
    },
    spool(digest, { onGrow }) {
      open += 1;
      const keep = (bytes: Buffer, access: Access): void =>
        // What was public once stays so: anybody could have had these bytes.
        void held.set(digest, { bytes, access: held.get(digest)?.access === "public" ? "public" : access });
      return Promise.resolve(memorySpool({ digest, onGrow, keep, onSettle: () => (open -= 1) }));
    },
    remove(digest) {
      held.delete(digest);
      return Promise.resolve();
    },
  };
}

function memorySpool(options: {
  digest: Digest;
  onGrow: () => void;
  keep: (bytes: Buffer, access: Access) => void;
  onSettle: () => void;
}): Spool {
  let bytes = Buffer.alloc(0);
  let capacity = Buffer.alloc(4 * 1024);
  return {
    start: 0,
    get end() {
      return bytes.length;
    },
    pass: () => {},
    append(chunk) {
      const length = bytes.length + chunk.length;
      if (length > capacity.length) {
        capacity = Buffer.alloc(length * 2);
        bytes.copy(capacity);
      }
      capacity.set(chunk, bytes.length);
      bytes = capacity.subarray(0, length);
      options.onGrow();
    },
    finish() {
      const algorithm = algorithmOf(options.digest);
      return Promise.resolve(`${algorithm}:${createHash(algorithm).update(bytes).digest("hex")}` as Digest);
    },
    settle(outcome) {
      options.onSettle();
      if (outcome !== "drop") options.keep(Buffer.from(bytes), outcome.keep);
      return Promise.resolve(outcome !== "drop");
    },
    reader: () => ({
      keepBehind: () => {},
      skip: () => {},
      segment: (offset, lengthMax) => ({ bytes: bytes.subarray(offset, Math.min(bytes.length, offset + lengthMax)) }),
      close: () => {},
    }),
  };
}

/** A RecordStore in memory. */
export function memoryRecords(): RecordStore & { readonly size: () => number } {
  const records = new Map<string, string>();
  const nameOf = ({ repository, kind, name }: RecordKey): string =>
    JSON.stringify([repository.upstream, repository.name, kind, name]);
  return {
    size: () => records.size,
    get(key) {
      const text = records.get(nameOf(key));
      return Promise.resolve(text === undefined ? undefined : (JSON.parse(text) as unknown));
    },
    put(key, value) {
      records.set(nameOf(key), JSON.stringify(value));
      return Promise.resolve();
    },
    remove(key) {
      records.delete(nameOf(key));
      return Promise.resolve();
    },
  };
}
