import type { Clock } from "@pullring/core";

import { redisLimits as limits } from "../limits.ts";

export interface BreakerOptions {
  readonly clock: Clock;
  /** Asked once a second while the breaker is open; rejects when there is no answer. */
  readonly probe: () => Promise<void>;
}

/** Spares callers the wait for a Redis that has left several of them without an answer. */
export class Breaker {
  readonly #clock: Clock;
  readonly #probe: () => Promise<void>;
  #failedAtMs: number[] = [];
  #probing: AbortController | undefined;

  constructor({ clock, probe }: BreakerOptions) {
    this.#clock = clock;
    this.#probe = probe;
  }

  get isOpen(): boolean {
    return this.#probing !== undefined;
  }

  failed(): void {
    const now = this.#clock.monotonic();
    this.#failedAtMs = [...this.#failedAtMs.filter((at) => now - at < limits.breakerWindowMs), now];
    if (this.#probing || this.#failedAtMs.length < limits.breakerFailures) return;
    this.#probing = new AbortController();
    void this.#probeUntilAnswered(this.#probing.signal);
  }

  answered(): void {
    this.#failedAtMs = [];
    this.#probing?.abort();
    this.#probing = undefined;
  }

  async #probeUntilAnswered(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      // Aborted: the breaker has closed, and the loop ends.
      await this.#clock.sleep(limits.probeMs, signal).catch(() => {});
      if (signal.aborted) return;
      const isThere = await this.#probe().then(
        () => true,
        () => false,
      );
      if (isThere && !signal.aborted) this.answered();
    }
  }
}
