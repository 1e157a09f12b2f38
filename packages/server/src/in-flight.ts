/** Counts what is under way, so that a stop can wait for it. */
export interface InFlight {
  enter(): void;
  leave(): void;
  /** Resolves when nothing is under way. */
  idle(): Promise<void>;
  count(): number;
}

export function makeInFlight(): InFlight {
  let count = 0;
  let waiting: (() => void)[] = [];
  return {
    count: () => count,
    enter: () => void (count += 1),
    leave() {
      count -= 1;
      if (count > 0) return;
      for (const resolve of waiting) resolve();
      waiting = [];
    },
    idle: () => (count === 0 ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve))),
  };
}
