import { budgetLimits as limits } from "./limits.ts";
import type { Clock } from "./ports.ts";
import type { PriorDigests } from "./quota-ports.ts";
import { makeRecent } from "./recent.ts";

/** Of a node by itself. */
export function makeLocalPriorDigests(clock: Clock): PriorDigests {
  const noted = makeRecent<true>(clock, { ttlMs: limits.priorMs, entriesMax: limits.priorsMax });
  return {
    note: (key) => Promise.resolve(noted.set(key, true)),
    has: (key) => Promise.resolve(noted.get(key) === true),
  };
}
