import type { Clock } from "@pullring/core";

import { membershipLimits as limits } from "../limits.ts";

/** Which rings peers have told of lately: more than one for long means that nodes disagree. */
export class EpochsSeen {
  readonly #clock: Clock;
  /** Oldest first. */
  readonly #seen = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(epoch: string): void {
    this.#seen.delete(epoch);
    this.#seen.set(epoch, this.#clock.monotonic());
    for (const oldest of this.#seen.keys()) if (this.#seen.size > limits.epochsMax) this.#seen.delete(oldest);
  }

  /** Distinct ones of the last minute, this node's own among them. */
  count(own: string): number {
    const sinceMs = this.#clock.monotonic() - limits.epochsWindowMs;
    for (const [epoch, atMs] of this.#seen) if (atMs < sinceMs) this.#seen.delete(epoch);
    return this.#seen.size + (this.#seen.has(own) ? 0 : 1);
  }
}
