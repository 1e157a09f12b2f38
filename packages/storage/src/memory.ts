import type { MemoryEntry, MemoryStore } from "@pullring/core";
import type { Digest } from "@pullring/oci";
import { LRUCache } from "lru-cache";

export interface Memory extends MemoryStore {
  /** Whether it is there; no use of it. */
  has(digest: Digest): boolean;
  bytes(): number;
  objects(): number;
}

export interface MemoryOptions {
  /** 0 = nothing is kept. */
  readonly bytesMax: number;
  readonly entryBytesMax: number;
  /** Told of entries that had to make room. */
  readonly onEvict?: (digest: Digest) => void;
}

/** What an entry costs beside its bytes: key, buffer and list nodes, roughly. */
const overheadBytes = 512;

/** The memory tier: small bodies, bounded by bytes, least recently used out first. */
export function makeMemory({ bytesMax, entryBytesMax, onEvict }: MemoryOptions): Memory {
  const sizeOf = ({ bytes }: MemoryEntry): number => bytes.length + overheadBytes;
  const entries =
    bytesMax > 0
      ? new LRUCache<Digest, MemoryEntry>({
          maxSize: bytesMax,
          sizeCalculation: sizeOf,
          dispose: (_entry, digest, reason) => reason === "evict" && onEvict?.(digest),
        })
      : undefined;
  return {
    get: (digest) => entries?.get(digest),
    put(digest, entry) {
      if (entry.bytes.length > entryBytesMax || sizeOf(entry) > bytesMax) return;
      entries?.set(digest, { ...entry, bytes: owned(entry.bytes) });
    },
    remove: (digest) => void entries?.delete(digest),
    has: (digest) => entries?.has(digest) ?? false,
    bytes: () => entries?.calculatedSize ?? 0,
    objects: () => entries?.size ?? 0,
  };
}

/** A slice of something much larger would keep all of it in memory. */
function owned(bytes: Buffer): Buffer {
  if (bytes.buffer.byteLength <= bytes.length * 2) return bytes;
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  bytes.copy(copy);
  return copy;
}
