import type { Clock } from "@pullring/core";
import type { Digest } from "@pullring/oci";

import type { Claim } from "./lease-store.ts";
import { leaseLimits as limits } from "../limits.ts";

interface Stray {
  readonly token: string;
  readonly endsAtMs: number;
}

export interface StraysOptions {
  readonly clock: Clock;
  /** Runs the work when nobody else is at that digest's lease. */
  readonly inTurn: (digest: Digest, work: () => Promise<void>) => Promise<void>;
  /** Rejects when there was no answer. */
  readonly release: (claim: Claim) => Promise<void>;
}

/**
 * Leases that may stand in Redis under tokens of ours that nobody here holds, because an answer was lost. Each is given back as
 * soon as Redis answers, is taken up again by who wants its digest, or has run out.
 */
export class Strays {
  readonly #options: StraysOptions;
  readonly #strays = new Map<Digest, Stray>();
  #isClearing = false;

  constructor(options: StraysOptions) {
    this.#options = options;
  }

  add({ digest, token }: Claim): void {
    if (this.#strays.size >= limits.strayMax) return;
    this.#strays.set(digest, { token, endsAtMs: this.#options.clock.monotonic() + limits.ttlMs });
    if (!this.#isClearing) void this.#clear();
  }

  /** The token under which the lease may stand; it is no stray any more. */
  take(digest: Digest): string | undefined {
    const stray = this.#strays.get(digest);
    this.#strays.delete(digest);
    return stray?.token;
  }

  async #clear(): Promise<void> {
    this.#isClearing = true;
    while (this.#strays.size > 0) {
      await this.#options.clock.sleep(limits.strayRoundMs);
      const now = this.#options.clock.monotonic();
      for (const [digest, { endsAtMs }] of this.#strays) if (endsAtMs <= now) this.#strays.delete(digest);
      await this.#giveBack([...this.#strays].slice(0, limits.straysPerRound));
    }
    this.#isClearing = false;
  }

  async #giveBack(strays: readonly (readonly [Digest, Stray])[]): Promise<void> {
    const { inTurn, release } = this.#options;
    for (const [digest, stray] of strays) {
      const isStray = (): boolean => this.#strays.get(digest) === stray;
      const giveBack = async (): Promise<void> => {
        if (isStray()) await release({ digest, token: stray.token });
        if (isStray()) this.#strays.delete(digest);
      };
      const isThere = await inTurn(digest, giveBack).then(
        () => true,
        () => false,
      );
      // Where Redis does not answer for one, it is not asked for the others either.
      if (!isThere) return;
    }
  }
}
