import type { Digest } from "@pullring/oci";

import type { BlobIndex } from "./blob-index.ts";
import { limits } from "./limits.ts";

/**
 * Keeps the disk within its size: blobs and growing spools together. Not counted are files without a path that a reader still
 * holds; they go when he does.
 */
export interface Space {
  readonly bytes: number;
  /** Counts bytes that a spool is about to write, evicting if need be; false when they do not fit beside what must stay. */
  reserve(bytes: number): boolean | Promise<boolean>;
  /** Gives reserved bytes back: they are gone, or counted as a blob now. */
  release(bytes: number): void;
  /** The disk is full below its configured size: evicts, for `bytes` and some more. */
  makeRoom(bytes: number): Promise<void>;
}

export interface SpaceOptions {
  readonly index: BlobIndex;
  readonly sizeBytesMax: number;
  readonly isPinned: (digest: Digest) => boolean;
  /** Removes the files of a blob that has left the index. Never rejects. */
  readonly onEvicted: (digest: Digest, size: number) => Promise<void>;
}

export function makeSpace({ index, sizeBytesMax, isPinned, onEvicted }: SpaceOptions): Space {
  const step = Math.min(sizeBytesMax * limits.evictShare, limits.evictBytesMax);
  let spooled = 0;
  let making: Promise<void> | undefined;

  async function evict(bytes: number): Promise<void> {
    await Promise.all(index.evict(bytes, isPinned).map(({ digest, size }) => onEvicted(digest, size)));
  }

  async function makeOnce(bytes: number): Promise<void> {
    await evict(bytes + step);
    making = undefined;
  }

  return {
    get bytes() {
      return index.bytes + spooled;
    },
    reserve(bytes) {
      const excess = index.bytes + spooled + bytes - sizeBytesMax;
      if (excess <= 0) {
        spooled += bytes;
        return true;
      }
      const removed = evict(excess + step);
      if (index.bytes + spooled + bytes > sizeBytesMax) return removed.then(() => false);
      spooled += bytes;
      return removed.then(() => true);
    },
    release(bytes) {
      spooled -= bytes;
    },
    // Fills that hit the full disk together need not evict together.
    makeRoom: (bytes) => (making ??= makeOnce(bytes)),
  };
}
