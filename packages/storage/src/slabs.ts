import { limits } from "./limits.ts";

/** Buffers of one size that are used again: for a fill that moves fast, making new ones costs as much as receiving the bytes. */
export interface Slabs {
  take(): Uint8Array;
  /** Nobody may look at the slab any more. */
  give(slab: Uint8Array): void;
}

export function makeSlabs(): Slabs {
  const free: Uint8Array[] = [];
  return {
    take: () => free.pop() ?? Buffer.allocUnsafeSlow(limits.slabBytes),
    give(slab) {
      if (free.length < limits.slabsKeptMax) free.push(slab);
    },
  };
}
