import type { Take } from "@pullring/core";

import type { AccountLane } from "./lanes.ts";
import type { CountedOrder, Spending } from "./spending.ts";

/** What one run of requests on one lane may spend: each GET that goes out takes one. */
export interface Purse {
  next(): Promise<Take>;
  /** Gives back what was taken and not sent. */
  close(): void;
}

export interface PurseOptions {
  readonly spending: Spending;
  readonly order: CountedOrder;
  readonly lane: AccountLane;
  /** Taken already. */
  readonly first: Take;
}

/** One take to begin with, and another of the same budget for each further try. */
export function makePurse({ spending, order, lane, first }: PurseOptions): Purse {
  let held: Take | undefined = first;
  return {
    async next() {
      const take = held ?? (await spending.take(order, [lane], [])).take;
      held = undefined;
      return take;
    },
    close: () => held?.settle("unspent"),
  };
}
