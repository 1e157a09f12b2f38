import { PullringError, type Repository } from "@pullring/core";

import type { QuotaView } from "./quota-calls.ts";

export interface WarmBudgetOptions {
  readonly quota: Pick<QuotaView, "here">;
  /** Requests of a budget at this upstream that are kept for others. */
  readonly reserveOf: (upstream: string) => number;
}

/**
 * Whether warming may spend a counted request: only where a lane of the repository's upstream has more left than its reserve. That is
 * for those who wait for their pull, so that no pattern opens it for a warm. Rejects with `throttled`.
 */
export function makeWarmBudget({ quota, reserveOf }: WarmBudgetOptions): (repository: Repository) => Promise<void> {
  return async ({ upstream }) => {
    const reserve = reserveOf(upstream);
    const lanes = (await quota.here()).filter((lane) => lane.upstream === upstream);
    // Those without a budget are not counted, or not known yet.
    const hasMore = lanes.some(({ remaining }) => remaining === null || remaining > reserve);
    if (reserve === 0 || lanes.length === 0 || hasMore) return;
    throw new PullringError("throttled", `what is left at ${upstream} is kept for pulls (quota.reserve: ${reserve})`);
  };
}
