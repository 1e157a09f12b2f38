import {
  globMatcher,
  makeRecent,
  PullringError,
  type Budgets,
  type BudgetWish,
  type Clock,
  type LaneFacts,
  type Take,
} from "@pullring/core";
import { isDigestReference, type Digest, type Reference } from "@pullring/oci";

import type { QuotaConfig } from "./config.ts";
import type { AccountLane } from "./lanes.ts";
import { limits } from "./limits.ts";
import type { Payers } from "./payers.ts";

/** A counted request that somebody means to send. */
export interface CountedOrder {
  readonly repository: string;
  readonly reference: Reference;
}

export interface SpendingOptions {
  readonly upstream: string;
  readonly quota: QuotaConfig;
  readonly budgets: Budgets;
  readonly payers: Payers;
  readonly clock: Clock;
}

/** What one upstream counts, and what may be spent of it. */
export interface Spending {
  /** Takes from the budget of one of them, and tells whose. Throws `throttled` when nothing is left. */
  take(order: CountedOrder, lanes: readonly AccountLane[], others: readonly LaneFacts[]): Promise<Taken>;
  /** Why a take would be refused now; undefined when it would not. */
  refusal(
    order: CountedOrder,
    lanes: readonly AccountLane[],
    others: readonly LaneFacts[],
  ): Promise<PullringError | undefined>;
  /** A HEAD by tag named this digest: what is fetched by digest has the tag's priority then. */
  named(order: CountedOrder, digest: Digest): void;
}

export interface Taken {
  readonly take: Take;
  /** Those whose budget it is. */
  readonly lanes: readonly AccountLane[];
  readonly others: readonly LaneFacts[];
}

export function makeSpending({ upstream, quota, budgets, payers, clock }: SpendingOptions): Spending {
  const prior = quota.priority.map(globMatcher);
  const namedByPrior = makeRecent<true>(clock, { ttlMs: limits.namedMs, entriesMax: limits.memoriesMax });
  const hasPriority = ({ repository, reference }: CountedOrder): boolean =>
    isDigestReference(reference)
      ? namedByPrior.get(`${repository}@${reference}`) === true
      : prior.some((matches) => matches(`${repository}:${reference}`));
  const reserveFor = (order: CountedOrder): number => (hasPriority(order) ? 0 : quota.reserve);

  const wishOf = (order: CountedOrder, lane: AccountLane): BudgetWish => {
    const { key, isUnmetered } = payers.of(lane);
    const { limit = quota.limit, windowSec = quota.windowSec } = lane.account ?? {};
    return { key, limit: isUnmetered ? undefined : limit, windowSec, reserve: reserveFor(order) };
  };
  const wishOfOther = (order: CountedOrder, { budget = "", unmetered }: LaneFacts): BudgetWish => ({
    key: budget,
    limit: unmetered ? undefined : quota.limit,
    windowSec: quota.windowSec,
    reserve: reserveFor(order),
  });

  /** One wish for each budget, however many lanes share it. */
  function wishesOf(order: CountedOrder, lanes: readonly AccountLane[], others: readonly LaneFacts[]): BudgetWish[] {
    const wishes = [
      ...lanes.map((lane) => wishOf(order, lane)),
      ...others.filter(({ budget }) => budget !== undefined).map((lane) => wishOfOther(order, lane)),
    ];
    return [...new Map(wishes.toReversed().map((wish) => [wish.key, wish])).values()].toReversed();
  }

  const empty = (retryAfterSec: number): PullringError =>
    new PullringError("throttled", `nothing is left to be spent at ${upstream}`, { retryAfterSec });

  return {
    async take(order, lanes, others) {
      // As it is now: an answer that comes meanwhile may name the payer otherwise.
      const keys = new Map(lanes.map((lane) => [lane, payers.of(lane).key]));
      const taking = await budgets.take(wishesOf(order, lanes, others));
      if (taking.state === "empty") throw empty(taking.retryAfterSec);
      const { take } = taking;
      return {
        take,
        lanes: lanes.filter((lane) => keys.get(lane) === take.key),
        others: others.filter(({ budget }) => budget === take.key),
      };
    },
    async refusal(order, lanes, others) {
      const states = new Map((await budgets.all()).map((state) => [state.key, state]));
      const now = clock.now();
      const waits: number[] = [];
      for (const { key, limit, reserve } of wishesOf(order, lanes, others)) {
        const state = states.get(key);
        const until = state?.coolDownUntil ?? 0;
        const left = state ? state.remaining : limit;
        if (until <= now && (left === undefined || left > reserve)) return undefined;
        waits.push(Math.max(until, state?.resetAt ?? 0) - now);
      }
      const soonestMs = Math.min(...waits.filter((ms) => ms > 0));
      return empty(Number.isFinite(soonestMs) ? Math.ceil(soonestMs / 1000) : limits.coolDownSec);
    },
    named(order, digest) {
      if (!isDigestReference(order.reference) && hasPriority(order))
        namedByPrior.set(`${order.repository}@${digest}`, true);
    },
  };
}
