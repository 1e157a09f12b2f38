import type { Outcome, Told } from "@pullring/core";

import type { Random } from "../real/random.ts";
import type { QuotaBudget, QuotaPlan } from "./quota-plan.ts";
import type { SimClock } from "./sim-clock.ts";

interface Account extends QuotaBudget {
  readonly key: string;
  used: number;
  windowEndsAt: number;
}

/** Counts for real: a window begins with the first counted request, and what is over the limit is refused. */
export class QuotaUpstream {
  readonly accounts: readonly Account[];
  /** Requests that it refused: each was one too many. */
  refused = 0;
  inFlight = 0;
  /** Answers at once. */
  isCalm = false;
  readonly #plan: QuotaPlan;
  readonly #clock: SimClock;
  readonly #random: Random;

  constructor(plan: QuotaPlan, clock: SimClock, random: Random) {
    this.#plan = plan;
    this.#clock = clock;
    this.#random = random;
    this.accounts = plan.budgets.map((budget, index) => ({ ...budget, key: keyOf(index), used: 0, windowEndsAt: 0 }));
  }

  at(index: number): Account {
    const account = this.accounts[index % this.accounts.length];
    if (!account) throw new Error("no budget");
    return account;
  }

  remaining(account: Account): number {
    return this.#clock.monotonic() >= account.windowEndsAt ? account.limit : Math.max(0, account.limit - account.used);
  }

  use(account: Account): boolean {
    const now = this.#clock.monotonic();
    if (this.remaining(account) === 0) return false;
    if (now >= account.windowEndsAt)
      Object.assign(account, { used: 0, windowEndsAt: now + this.#plan.windowSec * 1_000 });
    account.used += 1;
    return true;
  }

  /** A counted request, as its node learns of it. */
  async get(key: string): Promise<Outcome> {
    const account = this.accounts.find((each) => each.key === key);
    if (!account) throw new Error(`no budget ${key}`);
    this.inFlight += 1;
    try {
      await this.#travel();
      if (this.#random.below(20) === 0) return "unspent";
      const isCounted = this.use(account);
      const outcome = isCounted ? this.#told(account) : this.#refusal(account);
      await this.#travel();
      return outcome;
    } finally {
      this.inFlight -= 1;
    }
  }

  /** A free request: what its answer tells. */
  async head(index: number): Promise<Told | undefined> {
    await this.#travel();
    const told = this.#told(this.at(index));
    await this.#travel();
    return told === "spent" ? undefined : told;
  }

  #travel(): Promise<void> {
    return this.#clock.sleep(1 + (this.isCalm ? 0 : this.#random.below(this.#plan.upstreamMs)));
  }

  #told(account: Account): Told | "spent" {
    if (!account.hasHeaders) return "spent";
    return { limit: account.limit, remaining: this.remaining(account), windowSec: this.#plan.windowSec };
  }

  #refusal(account: Account): Outcome {
    this.refused += 1;
    const restMs = account.windowEndsAt - this.#clock.monotonic();
    return { exhaustedForSec: account.hasRetryAfter ? Math.ceil(restMs / 1_000) : undefined };
  }
}

export const keyOf = (index: number): string => `docker.io egress:${index}`;
