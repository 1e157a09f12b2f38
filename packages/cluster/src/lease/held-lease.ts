import type { Clock, Lease } from "@pullring/core";

import type { Claim, LeaseStore } from "./lease-store.ts";
import { leaseLimits as limits } from "../limits.ts";

export interface HeldLeaseOptions {
  readonly store: LeaseStore;
  readonly claim: Claim;
  readonly attempt: number;
  /** Monotonic ms at which the command was sent that got it. */
  readonly sentAtMs: number;
  readonly clock: Clock;
  readonly random: () => number;
  /** It is lost, or was given back; once each. */
  readonly onLost: () => void;
  readonly onReleased: () => Promise<void>;
}

/** A lease of this node, renewed until it is released or somebody else has it. */
export class HeldLease implements Lease {
  readonly claim: Claim;
  readonly attempt: number;
  readonly #options: HeldLeaseOptions;
  readonly #ending = new AbortController();
  #bytes = 0;
  #validUntilMs = 0;
  #isSuperseded = false;
  #wasToldLost = false;
  #released: Promise<void> | undefined;

  constructor(options: HeldLeaseOptions) {
    this.#options = options;
    this.claim = options.claim;
    this.attempt = options.attempt;
    this.confirm(options.sentAtMs);
    void this.#renewUntilEnded();
  }

  /** Redis would say so too: it counts from when it ran the command, which was later. */
  get lost(): boolean {
    return this.#isSuperseded || this.#options.clock.monotonic() >= this.#validUntilMs;
  }

  /** Somebody else has it, so it will never be this node's again. */
  get isSuperseded(): boolean {
    return this.#isSuperseded;
  }

  progress(bytes: number): void {
    this.#bytes = bytes;
  }

  release(): Promise<void> {
    this.#ending.abort();
    this.#released ??= this.#isSuperseded ? Promise.resolve() : this.#options.onReleased();
    return this.#released;
  }

  confirm(sentAtMs: number): void {
    this.#validUntilMs = Math.max(this.#validUntilMs, sentAtMs + limits.ttlMs);
    this.#wasToldLost = false;
  }

  supersede(): void {
    this.#isSuperseded = true;
    this.#ending.abort();
    this.#tellLost();
  }

  async #renewUntilEnded(): Promise<void> {
    const { clock, random } = this.#options;
    const { signal } = this.#ending;
    let pauseMs: number = limits.renewMs;
    while (!signal.aborted) {
      const jitter = 1 + (random() * 2 - 1) * limits.renewJitter;
      // Aborted: released or lost, and the loop ends.
      await clock.sleep(pauseMs * jitter, signal).catch(() => {});
      if (!signal.aborted) pauseMs = (await this.#renew()) ? limits.renewMs : limits.renewRetryMs;
    }
  }

  async #renew(): Promise<boolean> {
    const { store, claim, attempt, clock } = this.#options;
    const sentAtMs = clock.monotonic();
    const stands = await store.renew(claim, attempt, this.#bytes).catch(() => undefined);
    if (this.#ending.signal.aborted) return true;
    if (stands === true) this.confirm(sentAtMs);
    else if (stands === false) this.supersede();
    else if (this.lost) this.#tellLost();
    return stands === true;
  }

  #tellLost(): void {
    if (!this.#wasToldLost) this.#options.onLost();
    this.#wasToldLost = true;
  }
}
