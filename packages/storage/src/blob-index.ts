import type { Access } from "@pullring/core";
import type { Digest } from "@pullring/oci";

export interface BlobEntry {
  readonly size: number;
  readonly access: Access;
  /** Wall time at which its use was last written down. */
  touchedAt: number;
  /** Monotonic time at which its bytes were last seen to hash to its digest. */
  verifiedAt: number;
}

/** What is at rest on the disk, in the order of its use, and the bytes that it takes. */
export interface BlobIndex {
  readonly bytes: number;
  readonly objects: number;
  get(digest: Digest): BlobEntry | undefined;
  entries(): Iterable<[Digest, BlobEntry]>;
  /** Adds it as the one used last. */
  put(digest: Digest, entry: BlobEntry): void;
  /** Makes it the one used last. */
  use(digest: Digest): void;
  delete(digest: Digest): BlobEntry | undefined;
  /** Takes out the least recently used ones, never a pinned one, until `bytes` are freed or nothing is left to take. */
  evict(bytes: number, isPinned: (digest: Digest) => boolean): { digest: Digest; size: number }[];
}

export function makeBlobIndex(): BlobIndex {
  /** A Map keeps the order of insertion: the first is the least recently used. */
  const entries = new Map<Digest, BlobEntry>();
  let bytes = 0;

  function remove(digest: Digest): BlobEntry | undefined {
    const entry = entries.get(digest);
    if (entry && entries.delete(digest)) bytes -= entry.size;
    return entry;
  }

  function put(digest: Digest, entry: BlobEntry): void {
    remove(digest);
    entries.set(digest, entry);
    bytes += entry.size;
  }

  return {
    get bytes() {
      return bytes;
    },
    get objects() {
      return entries.size;
    },
    get: (digest) => entries.get(digest),
    entries: () => entries.entries(),
    put,
    use(digest) {
      const entry = remove(digest);
      if (entry) put(digest, entry);
    },
    delete: remove,
    evict(wanted, isPinned) {
      const victims: { digest: Digest; size: number }[] = [];
      let freed = 0;
      for (const [digest, { size }] of entries) {
        if (freed >= wanted) break;
        if (isPinned(digest)) continue;
        remove(digest);
        freed += size;
        victims.push({ digest, size });
      }
      return victims;
    },
  };
}
