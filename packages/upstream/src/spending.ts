import {
  PullringError,
  type Budgets,
  type BudgetWish,
  type Clock,
  type LaneFacts,
  type PriorDigests,
  type Take,
} from "@pullring/core";
import type { Reference } from "@pullring/oci";

import type { QuotaConfig } from "./config.ts";
import type { AccountLane } from "./lanes.ts";
import { limits } from "./limits.ts";
import type { Payers } from "./payers.ts";
import { makePriority, type Priority } from "./priority.ts";

/** A counted request that somebody means to send. */
export interface CountedOrder {
  readonly repository: string;
  readonly reference: Reference;
}

export interface SpendingOptions {
  readonly upstream: string;
  readonly quota: QuotaConfig;
  readonly budgets: Budgets;
  readonly priors: PriorDigests;
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
  readonly named: Priority["named"];
}

export interface Taken {
  readonly take: Take;
  /** Those whose budget it is. */
  readonly lanes: readonly AccountLane[];
  readonly others: readonly LaneFacts[];
}

export function makeSpending({ upstream, quota, budgets, priors, payers, clock }: SpendingOptions): Spending {
  const priority = makePriority({ upstream, quota, priors });

  const wishOf = (lane: AccountLane, reserve: number): BudgetWish => {
    const { key, isUnmetered } = payers.of(lane);
    const { limit = quota.limit, windowSec = quota.windowSec } = lane.account ?? {};
    return { key, limit: isUnmetered ? undefined : limit, windowSec, reserve };
  };
  const wishOfOther = ({ budget = "", unmetered }: LaneFacts, reserve: number): BudgetWish => ({
    key: budget,
    limit: unmetered ? undefined : quota.limit,
    windowSec: quota.windowSec,
    reserve,
  });

  /** One wish for each budget, however many lanes share it. */
  function wishesOf(lanes: readonly AccountLane[], others: readonly LaneFacts[], reserve: number): BudgetWish[] {
    const wishes = [
      ...lanes.map((lane) => wishOf(lane, reserve)),
      ...others.filter(({ budget }) => budget !== undefined).map((lane) => wishOfOther(lane, reserve)),
    ];
    return [...new Map(wishes.toReversed().map((wish) => [wish.key, wish])).values()].toReversed();
  }

  const empty = (retryAfterSec: number): PullringError =>
    new PullringError("throttled", `nothing is left to be spent at ${upstream}`, { retryAfterSec });

  return {
    async take(order, lanes, others) {
      const reserve = await priority.reserveFor(order);
      // As it is now: an answer that comes meanwhile may name the payer otherwise.
      const keys = new Map(lanes.map((lane) => [lane, payers.of(lane).key]));
      const taking = await budgets.take(wishesOf(lanes, others, reserve));
      if (taking.state === "empty") throw empty(taking.retryAfterSec);
      const { take } = taking;
      return {
        take,
        lanes: lanes.filter((lane) => keys.get(lane) === take.key),
        others: others.filter(({ budget }) => budget === take.key),
      };
    },
    async refusal(order, lanes, others) {
      const ownReserve = await priority.reserveFor(order);
      const states = new Map((await budgets.all()).map((state) => [state.key, state]));
      const now = clock.now();
      const waits: number[] = [];
      for (const { key, limit, reserve } of wishesOf(lanes, others, ownReserve)) {
        const state = states.get(key);
        const until = state?.coolDownUntil ?? 0;
        const left = state ? state.remaining : limit;
        if (until <= now && (left === undefined || left > reserve)) return undefined;
        waits.push(Math.max(until, state?.resetAt ?? 0) - now);
      }
      const soonestMs = Math.min(...waits.filter((ms) => ms > 0));
      return empty(Number.isFinite(soonestMs) ? Math.ceil(soonestMs / 1000) : limits.coolDownSec);
    },
    named: (order, digests) => priority.named(order, digests),
  };
}
