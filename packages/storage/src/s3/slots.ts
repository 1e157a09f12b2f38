/** Runs so much at once; the rest waits in the order of asking. */
export type Slots = <T>(work: () => Promise<T>) => Promise<T>;

export function makeSlots(slotsMax: number): Slots {
  const waiting: (() => void)[] = [];
  let free = slotsMax;
  return async (work) => {
    if (free > 0) free -= 1;
    else await new Promise<void>((resolve) => void waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else free += 1;
    }
  };
}
