import { PullringError, type Budgets, type Clock, type Take } from "@pullring/core";

import { headerOf } from "./headers.ts";
import type { AccountLane } from "./lanes.ts";
import type { Payers } from "./payers.ts";
import type { Answer } from "./redirects.ts";
import { retryAfterSec } from "./retry-after.ts";
import { WireError } from "./wire-error.ts";

export interface SettledBy {
  readonly lane: AccountLane;
  readonly payers: Payers;
  readonly budgets: Budgets;
  readonly clock: Clock;
}

/** What an answer about a manifest means for the budget that it was asked on; `take` only where it was counted. */
export function settle(
  answer: Answer,
  { lane, payers, budgets, clock }: SettledBy,
  { take, askedAt, isLimit }: { take: Take | undefined; askedAt: number; isLimit: boolean },
): void {
  const told = payers.learn(lane, answer);
  const { key } = payers.of(lane);
  // Also of one that was counted by another name until this answer came. A refusal ends with the window that it tells.
  if (told && (isLimit || take?.key !== key)) budgets.tell(key, told, askedAt);
  if (!take) return;
  const retryAfter = headerOf(answer.headers, "retry-after");
  if (isLimit) {
    const exhaustedForSec = retryAfter === undefined ? undefined : retryAfterSec(retryAfter, clock.now());
    take.settle({ exhaustedForSec });
  } else take.settle(told ?? (isFree(answer, lane) ? "unspent" : "spent"));
}

/** Refused before it was counted; or an image that is exempt, which an address is not charged for and is told nothing of. */
const isFree = ({ status }: Answer, { account }: AccountLane): boolean =>
  [401, 403, 429].includes(status) || (status === 200 && account === undefined);

/** What a request without an answer means: one that never left was not counted. */
export const unanswered = (error: unknown): "spent" | "unspent" => {
  const cause = error instanceof PullringError ? error.cause : error;
  const neverLeft = cause instanceof WireError && (cause.fault === "unreachable" || cause.fault === "forbidden");
  return neverLeft || (error instanceof PullringError && cause === undefined) ? "unspent" : "spent";
};
