import type { Clock } from "./ports.ts";

/** Remembers values for a while: at most `entriesMax`, the oldest out first. */
export interface Recent<V> {
  get(key: string): V | undefined;
  set(key: string, value: V): void;
  delete(key: string): void;
}

export function makeRecent<V>(clock: Clock, options: { ttlMs: number; entriesMax: number }): Recent<V> {
  const entries = new Map<string, { value: V; until: number }>();
  return {
    get(key) {
      const entry = entries.get(key);
      if (entry && entry.until > clock.monotonic()) return entry.value;
      entries.delete(key);
      return undefined;
    },
    set(key, value) {
      entries.delete(key);
      entries.set(key, { value, until: clock.monotonic() + options.ttlMs });
      const oldest = entries.size > options.entriesMax ? entries.keys().next() : undefined;
      if (oldest && !oldest.done) entries.delete(oldest.value);
    },
    delete: (key) => void entries.delete(key),
  };
}
