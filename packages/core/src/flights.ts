/** One run per key: whoever asks while it runs gets the same result or the same error. Nothing is remembered after it. */
export interface Flights<V> {
  /** `joined` tells whether another caller had started the run. `start` is called before this returns, or not at all. */
  run(key: string, start: () => Promise<V>): { readonly result: Promise<V>; readonly joined: boolean };
}

export function makeFlights<V>(): Flights<V> {
  const running = new Map<string, Promise<V>>();
  return {
    run(key, start) {
      const existing = running.get(key);
      if (existing) return { result: existing, joined: true };
      // The wrapper turns a synchronous throw of `start` into a rejection, so that no key is ever left behind.
      const result = (async () => start())().finally(() => running.delete(key));
      running.set(key, result);
      return { result, joined: false };
    },
  };
}
