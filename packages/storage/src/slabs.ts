import { limits } from "./limits.ts";

/**
 * Buffers of one size that are used again: for a fill that moves fast, making new ones costs as much as receiving the bytes. Their memory
 * is shared, so that a hash thread can read it where it is.
 */
export interface Slabs {
  take(): Buffer;
  /** Nobody may look at the slab any more. */
  give(slab: Buffer): void;
}

export function makeSlabs(): Slabs {
  const free: Buffer[] = [];
  return {
    take: () => free.pop() ?? Buffer.from(new SharedArrayBuffer(limits.slabBytes)),
    give(slab) {
      if (free.length < limits.slabsKeptMax) free.push(slab);
    },
  };
}
