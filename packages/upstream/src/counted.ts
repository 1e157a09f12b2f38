import { PullringError, type Budgets, type Clock, type LaneFacts, type Take, type Told } from "@pullring/core";

import { headerOf } from "./headers.ts";
import { maySeeMore, pick, type LaneChoice } from "./lane-choice.ts";
import type { AccountLane, Lanes } from "./lanes.ts";
import { limits } from "./limits.ts";
import type { Payers } from "./payers.ts";
import type { Answer } from "./redirects.ts";
import { retryAfterSec } from "./retry-after.ts";
import type { CountedOrder, Spending, Taken } from "./spending.ts";
import { WireError } from "./wire-error.ts";

/** What one run of requests on one lane may spend: each GET that goes out takes one. */
export interface Purse {
  next(): Promise<Take>;
  /** Gives back what was taken and not sent. */
  close(): void;
}

export interface CountedWays {
  /** Sends it on that lane, each GET out of the purse. */
  readonly send: (lane: AccountLane, purse: Purse) => Promise<void>;
  /** Lets another node send it on a lane of its own. */
  readonly elsewhere: (lane: LaneFacts) => Promise<Told | "spent">;
  /** Asks something free by that lane, so that upstream tells what it has left. */
  readonly sound: (lane: AccountLane) => Promise<unknown>;
}

export interface CountedOptions {
  readonly choice: LaneChoice;
  readonly lanes: Lanes;
  readonly spending: Spending;
  readonly payers: Payers;
  /** Lanes of other nodes at this upstream. */
  readonly others: () => readonly LaneFacts[];
}

/** Sends one counted request by the lane that has most left, and by at most one other. */
export type SendCounted = (order: CountedOrder, ways: CountedWays) => Promise<void>;

export function makeCounted({ choice, lanes, spending, payers, others }: CountedOptions): SendCounted {
  const sounding = new Map<string, Promise<unknown>>();

  /** Nobody knows what a lane has left that was never asked: HEAD is free, and tells. Once for all who wait, whatever comes of it. */
  async function soundAll(own: readonly AccountLane[], ways: CountedWays): Promise<void> {
    const unheard = own.filter((lane) => !payers.of(lane).isHeard);
    await Promise.all(
      unheard.map((lane) => {
        const running = sounding.get(lane.name) ?? ways.sound(lane).catch(() => {});
        sounding.set(lane.name, running);
        return running;
      }),
    );
  }

  const mayAsk = (order: CountedOrder, { account, benched, budget }: LaneFacts): boolean =>
    benched === undefined && budget !== undefined && lanes.mayAsk(order.repository, account);

  function purseOf(order: CountedOrder, lane: AccountLane, first: Take): Purse {
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

  /** `onSend` is called before anything counted goes out. */
  async function bySelf(
    order: CountedOrder,
    lane: AccountLane,
    { take, ways, onSend }: { take: Take; ways: CountedWays; onSend: () => void },
  ): Promise<void> {
    const purse = purseOf(order, lane, take);
    try {
      onSend();
      await ways.send(lane, purse);
      choice.used(lane, order.repository);
    } finally {
      purse.close();
    }
  }

  /** Other nodes' lanes of which upstream has not told yet come last: their budgets may be known by another name there. */
  async function take(order: CountedOrder, own: readonly AccountLane[], foreign: readonly LaneFacts[]): Promise<Taken> {
    const heard = foreign.filter(({ source, unmetered }) => source !== undefined || unmetered);
    const refused = (error: unknown): Promise<Taken> => {
      if (heard.length === foreign.length) throw error;
      return spending.take(order, own, foreign);
    };
    if (own.length + heard.length === 0) return spending.take(order, own, foreign);
    return spending.take(order, own, heard).catch(refused);
  }

  return async (order, ways) => {
    const errors: PullringError[] = [];
    const wanted = { kind: "manifest_get", repository: order.repository } as const;
    const tried = new Set<string>();
    let sent = 0;
    const onSend = (): void => void (sent += 1);
    while (sent < limits.lanesPerRequestMax) {
      const own = (await choice.ready(wanted, errors)).filter(({ name }) => !tried.has(name));
      const foreign = others().filter((lane) => mayAsk(order, lane) && !tried.has(lane.name));
      if (own.length + foreign.length === 0) break;
      await soundAll(own, ways);
      let taken: Taken;
      try {
        taken = await take(order, own, foreign);
      } catch (error) {
        if (!(error instanceof PullringError)) throw error;
        errors.push(error);
        break;
      }
      const [lane] = taken.lanes;
      const [other] = taken.others;
      try {
        if (lane) return await bySelf(order, lane, { take: taken.take, ways, onSend });
        if (other) {
          onSend();
          return await byOther(taken.take, () => ways.elsewhere(other));
        }
        taken.take.settle("unspent");
        break;
      } catch (error) {
        if (lane ? !choice.mayPassOn(error, lane) : !(error instanceof PullringError)) throw error;
        const told = error as PullringError;
        errors.push(told);
        tried.add(lane?.name ?? other?.name ?? "");
        const next = own.find(({ name }) => !tried.has(name));
        if (lane && !maySeeMore(told, lane, next)) break;
      }
    }
    throw pick(errors);
  };
}

async function byOther(take: Take, ask: () => Promise<Told | "spent">): Promise<void> {
  try {
    take.settle(await ask());
  } catch (error) {
    const told = error instanceof PullringError ? error : undefined;
    if (told?.code === "throttled") take.settle({ exhaustedForSec: told.retryAfterSec });
    else take.settle(told?.code === "unreachable" ? "unspent" : "spent");
    throw error;
  }
}

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
  // Also of one that was counted by another name until this answer came.
  if (told && take?.key !== key) budgets.tell(key, told, askedAt);
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
