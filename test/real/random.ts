export interface Random {
  /** From 0 to 1, without 1. */
  next(): number;
  /** A whole number from 0 to `bound`, without it. */
  below(bound: number): number;
  pick<T>(items: readonly T[]): T;
}

/** The same numbers for the same seed: a Weyl sequence, mixed by multiplications (the finaliser of murmur3). */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x9e37_79b9) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x85eb_ca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35);
    return ((mixed ^ (mixed >>> 16)) >>> 0) / 2 ** 32;
  };
  const below = (bound: number): number => Math.floor(next() * bound);
  return {
    next,
    below,
    pick<T>(items: readonly T[]): T {
      const item = items[below(items.length)];
      if (item === undefined) throw new Error("nothing to pick from");
      return item;
    },
  };
}
