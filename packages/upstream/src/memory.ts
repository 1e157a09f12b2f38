import type { Clock } from "@pullring/core";

import { limits } from "./limits.ts";

/** What was learned a while ago; the oldest goes first when there is too much of it. */
export interface Memory<V> {
  get(key: string): V | undefined;
  set(key: string, value: V): void;
}

export function makeMemory<V>(clock: Clock, keptMs: number): Memory<V> {
  const entries = new Map<string, { readonly value: V; readonly untilMs: number }>();
  return {
    get(key) {
      const entry = entries.get(key);
      return entry && entry.untilMs > clock.monotonic() ? entry.value : undefined;
    },
    set(key, value) {
      entries.delete(key);
      entries.set(key, { value, untilMs: clock.monotonic() + keptMs });
      const oldest = entries.size > limits.memoriesMax ? entries.keys().next().value : undefined;
      if (oldest !== undefined) entries.delete(oldest);
    },
  };
}
