import {
  advance,
  type Asked,
  type Assumed,
  type BudgetRow,
  exhaust,
  hear,
  hearOfTake,
  isTold,
  type Moment,
  newRow,
  readyOf,
  remainingOf,
  spend,
  spentOf,
} from "./budget-row.ts";
import { budgetLimits as limits } from "./limits.ts";
import type { BudgetKey, BudgetState, BudgetWish, Take, Told } from "./quota-ports.ts";

export type Outcome = Parameters<Take["settle"]>[0];

export interface TakeOrder {
  readonly id: string;
  /** Who takes. */
  readonly node: string;
  readonly wishes: readonly BudgetWish[];
  readonly now: number;
}

export type Took =
  | { readonly key: BudgetKey; readonly asked: Asked }
  | { readonly key: undefined; readonly retryAfterSec: number };

export interface SettleOrder {
  readonly id: string;
  readonly node: string;
  readonly key: BudgetKey;
  readonly outcome: Outcome;
  readonly now: number;
}

export interface TellOrder {
  readonly key: BudgetKey;
  readonly told: Told;
  /** `seq` as it was known when it was asked. */
  readonly asked: Asked;
  readonly now: number;
}

export const clipKey = (key: BudgetKey): BudgetKey => key.slice(0, limits.keyLengthMax);

/** The table of a node that can't reach the shared one. */
interface Alone {
  /** Nodes. */
  readonly among: number;
  /** It has never reached it. */
  readonly isUnseen: boolean;
}

/** Budgets as rows of numbers, and all that can be done to them. Who shares one does one thing after the other. */
export class BudgetTable {
  readonly rows = new Map<BudgetKey, BudgetRow>();
  seq = 0;
  readonly #alone: Alone | undefined;

  constructor(alone?: Alone) {
    this.#alone = alone;
  }

  /** The same order again, after its answer was lost, takes no second time. */
  take({ id, node, wishes, now }: TakeOrder): Took {
    const moment = this.moment(now);
    for (const wish of wishes) {
      const flight = this.rows.get(clipKey(wish.key))?.flights.get(id);
      if (flight) return { key: wish.key, asked: flight };
    }
    let best: { wish: BudgetWish; row: BudgetRow; share: number } | undefined;
    let retryAt = Infinity;
    for (const wish of wishes) {
      const row = this.#assume(wish, moment);
      const readyAt = readyAtOf(row, wish, moment);
      if (readyAt > now) {
        retryAt = Math.min(retryAt, readyAt);
        continue;
      }
      const share = row.limit === undefined ? 1 : remainingOf(row) / row.limit;
      if (!best || share > best.share || (share === best.share && row.takenSeq < best.row.takenSeq))
        best = { wish, row, share };
    }
    if (!best) return { key: undefined, retryAfterSec: secondsUntil(retryAt, now) };
    return this.#take(best.wish.key, best.row, { id, node, moment });
  }

  settle({ id, node, key, outcome, now }: SettleOrder): void {
    const row = this.rows.get(clipKey(key));
    if (!row) return;
    const moment = this.moment(now);
    advance(row, moment);
    const flight = row.flights.get(id);
    row.flights.delete(id);
    row.usedAt = now;
    if (outcome === "unspent") return flight && giveBack(row, node);
    if (outcome === "spent") return flight && spend(row, flight, moment);
    if ("exhaustedForSec" in outcome) {
      if (flight) giveBack(row, node);
      return exhaust(row, outcome.exhaustedForSec, moment);
    }
    if (!isTold(outcome)) return flight && spend(row, flight, moment);
    if (flight) hearOfTake(row, outcome, flight, moment);
    else hear(row, outcome, { seq: 0, at: now }, moment);
  }

  tell({ key, told, asked, now }: TellOrder): void {
    if (!isTold(told)) return;
    const moment = this.moment(now);
    const { limit, windowSec } = told;
    const row = this.#assume({ key, limit, windowSec }, moment);
    row.usedAt = now;
    hear(row, told, asked, moment);
  }

  /** Also forgets what nobody needs any more. `clock` gives the time of an instant of this table. */
  states(now: number, timeOf: (at: number) => number): BudgetState[] {
    const moment = this.moment(now);
    for (const [key, row] of this.rows) {
      advance(row, moment);
      if (isIdle(row, now)) this.rows.delete(key);
    }
    return [...this.rows].map(([key, row]) => stateOf(key, row, timeOf));
  }

  /** The row of a budget as of now; an untold one is as it is wished. */
  #assume(wish: Assumed & { readonly key: BudgetKey }, moment: Moment): BudgetRow {
    const key = clipKey(wish.key);
    let row = this.rows.get(key);
    if (!row) {
      this.#makeRoom();
      row = newRow(wish, moment);
      if (this.#alone) becomePart(row, this.#alone);
      this.rows.set(key, row);
    }
    advance(row, moment);
    // Upstream's word holds until an account's answers come without one.
    const holds = row.toldAt !== undefined && (wish.limit !== undefined || row.guessed === 0);
    if (!holds) Object.assign(row, { limit: wish.limit, windowSec: wish.windowSec, toldAt: undefined });
    return row;
  }

  #take(key: BudgetKey, row: BudgetRow, taking: { id: string; node: string; moment: Moment }): Took {
    const { id, node, moment } = taking;
    const { now, seq } = moment;
    const asked = { seq, at: now };
    // What is unmetered needs no place among so many.
    if (row.flights.size < limits.flightsMax) row.flights.set(id, { node, ...asked });
    const spent = row.spent.get(node) ?? { total: 0, base: 0 };
    spent.total += 1;
    row.spent.set(node, spent);
    if (row.spent.size > limits.spendersMax) row.spent.delete([...row.spent.keys()][0] ?? node);
    if (row.part) row.part.left -= 1;
    row.takenSeq = seq;
    row.usedAt = now;
    return { key, asked };
  }

  /** Of the next thing that is done. */
  moment(now: number): Moment {
    this.seq += 1;
    return { now, seq: this.seq };
  }

  #makeRoom(): void {
    if (this.rows.size < limits.budgetsMax) return;
    const [oldest] = [...this.rows].sort(([, a], [, b]) => a.usedAt - b.usedAt);
    if (oldest) this.rows.delete(oldest[0]);
  }
}

function becomePart(row: BudgetRow, { among, isUnseen }: Alone): void {
  if (row.limit === undefined) return;
  row.part = { left: Math.max(isUnseen ? 1 : 0, Math.floor(row.limit / among)), among, isUnseen };
  row.isBlind = isUnseen;
}

function readyAtOf(row: BudgetRow, { reserve }: BudgetWish, { now }: Moment): number {
  if (row.coolUntil !== undefined) return row.coolUntil;
  const isFree = readyOf(row) > 0 && remainingOf(row) > Math.max(0, reserve);
  if (isFree && (row.limit === undefined || row.flights.size < limits.flightsMax)) return now;
  return row.endsAt ?? now + row.windowSec * 1_000;
}

const secondsUntil = (at: number, now: number): number =>
  Math.min(limits.windowSecMax, Math.max(1, Math.ceil((at - now) / 1_000)));

function giveBack(row: BudgetRow, node: string): void {
  const spent = row.spent.get(node);
  if (spent && spent.total > spent.base) spent.total -= 1;
  if (row.part) row.part.left += 1;
}

/** Its window has passed, and nobody has used it in another one. */
export const isIdle = (row: BudgetRow, now: number): boolean =>
  row.flights.size === 0 &&
  row.endsAt === undefined &&
  row.coolUntil === undefined &&
  now - row.usedAt > row.windowSec * 1_000;

function stateOf(key: BudgetKey, row: BudgetRow, timeOf: (at: number) => number): BudgetState {
  const time = (at: number | undefined): number | undefined => (at === undefined ? undefined : Math.round(timeOf(at)));
  const inFlight = row.flights.size;
  return {
    key,
    limit: row.limit,
    remaining: row.limit === undefined ? undefined : Math.max(0, row.limit - row.used - inFlight),
    inFlight,
    windowSec: row.windowSec,
    spent: Math.max(0, spentOf(row) - inFlight),
    observedAt: time(row.toldAt),
    resetAt: time(row.endsAt),
    coolDownUntil: time(row.coolUntil),
  };
}
