import { budgetLimits as limits } from "./limits.ts";
import type { Told } from "./quota-ports.ts";

/**
 * One budget as its counters know it. Times are ms of one clock that all who share the counters agree on; `seq` numbers what is done to
 * the counters one after the other, and so tells of two things which came first, whatever clocks do.
 *
 * What remains = limit - used - flights. These rules, and no others, make `used`:
 * - An answer tells what was used when upstream gave it. What was heard before its request was sent is contained in it; what was heard
 *   since may have come before or after it. So used is the most of it and of what was heard since it was asked: right in any order of
 *   answers, and what strangers use or a refill gives back is learnt by the next one.
 * - A request that was answered without a word of it, or not within a minute, uses one.
 * - Upstream's window began before the first answer of it came, so it is over `windowSec` after that, and a margin. It may have been over
 *   since `windowSec` after that request was sent: what is spent in between (`late`) counts in the next window too.
 */
export interface BudgetRow {
  /** undefined = unmetered. */
  limit: number | undefined;
  windowSec: number;
  used: number;
  /** When upstream last told. */
  toldAt: number | undefined;
  /** Uses in `used` that no answer told of. */
  guessed: number;
  /** Newest last; what was heard up to `horizon` is forgotten. */
  heard: Heard[];
  horizon: number;
  /** When the request was sent whose answer made `used` exact. */
  exactAt: number | undefined;
  /** Upstream's window began then at the earliest. */
  beganAt: number | undefined;
  endsAt: number | undefined;
  /** All that is used was late in the window before: upstream's window may begin only now. */
  isCarried: boolean;
  late: number;
  lateAt: number | undefined;
  lateEndsAt: number | undefined;
  flights: Map<string, Flight>;
  spent: Map<string, Spent>;
  coolUntil: number | undefined;
  coolSeq: number;
  /** One at a time until upstream has told: nobody knows what is left. */
  isBlind: boolean;
  takenSeq: number;
  usedAt: number;
  /** While the shared counters are away, what this node may spend of it. */
  part: Part | undefined;
}

export interface Part {
  left: number;
  /** Nodes. */
  readonly among: number;
  /** This node never saw the counters: `left` holds until upstream has told. */
  readonly isUnseen: boolean;
}

export interface Flight {
  readonly node: string;
  readonly seq: number;
  readonly at: number;
}

/** `used` undefined: one more than before. */
export interface Heard {
  readonly seq: number;
  readonly used: number | undefined;
}

/** What a node has spent, in flight included: ever, and until this window began. What only grows can be told twice. */
export interface Spent {
  total: number;
  base: number;
}

export interface Moment {
  readonly now: number;
  readonly seq: number;
}

/** When a request was sent. */
export type Asked = Pick<Flight, "seq" | "at">;

interface Question extends Asked {
  /** What its answer tells contains itself. */
  readonly isCounted?: boolean;
}

export interface Assumed {
  readonly limit: number | undefined;
  readonly windowSec: number;
}

export const newRow = ({ limit, windowSec }: Assumed, { now }: Moment): BudgetRow => ({
  limit,
  windowSec,
  used: 0,
  toldAt: undefined,
  guessed: 0,
  heard: [],
  horizon: 0,
  exactAt: undefined,
  beganAt: undefined,
  endsAt: undefined,
  isCarried: false,
  late: 0,
  lateAt: undefined,
  lateEndsAt: undefined,
  flights: new Map(),
  spent: new Map(),
  coolUntil: undefined,
  coolSeq: 0,
  isBlind: false,
  takenSeq: 0,
  usedAt: now,
  part: undefined,
});

/** What can be taken, as far as it is known. Infinity = unmetered. */
export function remainingOf(row: BudgetRow): number {
  const left = row.limit === undefined ? Infinity : Math.max(0, row.limit - row.used) - row.flights.size;
  return Math.min(left, row.part?.left ?? Infinity);
}

/** What can be taken now. */
export const readyOf = (row: BudgetRow): number =>
  row.isBlind ? Math.min(remainingOf(row), 1 - row.flights.size) : remainingOf(row);

/** By all nodes in this window, in flight included. */
export function spentOf(row: BudgetRow): number {
  let sum = 0;
  for (const { total, base } of row.spent.values()) sum += total - base;
  return sum;
}

/** When the window that begins now is over for sure: clocks run apart, by far less than a thousandth. */
export const endOf = (now: number, windowSec: number): number => now + windowSec * 1_001 + 1_000;

/** Counts what got lost in flight, and begins the next window when this one is over. */
export function advance(row: BudgetRow, moment: Moment): void {
  for (const [id, flight] of row.flights) {
    if (moment.now - flight.at < limits.flightMs) continue;
    row.flights.delete(id);
    // Upstream has had a minute for it: whatever is asked after the last thing that was done here contains it.
    spend(row, flight, { ...moment, seq: Math.max(row.takenSeq, row.heard.at(-1)?.seq ?? 0) });
  }
  if (row.coolUntil !== undefined && moment.now >= row.coolUntil) row.coolUntil = undefined;
  if (row.endsAt === undefined || moment.now < row.endsAt) return;
  refill(row, { used: row.late, beganAt: row.lateAt, endsAt: row.lateEndsAt });
  row.guessed = row.used;
  row.isCarried = row.used > 0;
  row.horizon = row.heard.at(-1)?.seq ?? row.horizon;
  row.heard = [];
}

/** A new window: what was spent before does not count in it. */
function refill(row: BudgetRow, next: Pick<BudgetRow, "used" | "beganAt" | "endsAt">): void {
  const isUsed = next.used > 0;
  row.used = next.used;
  row.late = 0;
  row.isCarried = false;
  row.beganAt = isUsed ? next.beganAt : undefined;
  row.endsAt = isUsed ? next.endsAt : undefined;
  for (const [node, spent] of row.spent) {
    if (spent.base === spent.total) row.spent.delete(node);
    spent.base = spent.total;
  }
  if (row.part && row.limit !== undefined)
    row.part = { ...row.part, left: Math.floor(Math.max(0, row.limit - row.used) / row.part.among) };
}

/** Answered without a word of what is left, or lost. */
export function spend(row: BudgetRow, { at }: Pick<Flight, "at">, moment: Moment): void {
  count(row, at, moment);
  row.used += 1;
  row.guessed += 1;
  if (!row.part?.isUnseen) row.isBlind = false;
  remember(row, { seq: moment.seq, used: undefined });
}

/** Upstream has counted a request that was sent after `sentAt`. */
export function count(row: BudgetRow, sentAt: number, { now }: Moment): void {
  const windowMs = row.windowSec * 1_000;
  if (row.beganAt !== undefined && now >= row.beganAt + windowMs) {
    const at = Math.max(sentAt, row.beganAt + windowMs);
    row.lateAt = row.late > 0 ? Math.min(row.lateAt ?? at, at) : at;
    row.lateEndsAt = row.late > 0 ? row.lateEndsAt : endOf(now, row.windowSec);
    row.late += 1;
    return;
  }
  row.beganAt = Math.min(row.beganAt ?? sentAt, sentAt);
  row.endsAt = row.isCarried ? endOf(now, row.windowSec) : (row.endsAt ?? endOf(now, row.windowSec));
  row.isCarried = false;
}

function remember(row: BudgetRow, heard: Heard): void {
  row.heard.push(heard);
  while (row.heard.length > limits.heardMax) row.horizon = row.heard.shift()?.seq ?? row.horizon;
}

/** Upstream told in the answer to a counted request. */
export function hearOfTake(row: BudgetRow, told: Told, flight: Flight, moment: Moment): void {
  const isFirst = row.endsAt === undefined;
  count(row, flight.at, moment);
  hear(row, told, { ...flight, isCounted: true }, moment);
  // Strangers have used of it before, nobody knows since when.
  if (isFirst && row.used > 1 + row.flights.size) row.beganAt = moment.now - row.windowSec * 1_000;
}

/** Upstream told. `asked.seq` 0: nobody knows when that was asked. */
export function hear(row: BudgetRow, told: Told, asked: Question, moment: Moment): void {
  const { now, seq } = moment;
  if (!isTold(told)) return;
  if (row.endsAt !== undefined && told.windowSec !== row.windowSec)
    row.endsAt += endOf(0, told.windowSec) - endOf(0, row.windowSec);
  row.limit = told.limit;
  row.windowSec = told.windowSec;
  row.toldAt = now;
  const used = told.limit - Math.min(told.remaining, told.limit);
  const since = row.heard.filter((heard) => heard.seq > asked.seq);
  const guesses = since.filter((heard) => heard.used === undefined).length;
  const isOrdered = asked.seq > 0 && asked.seq >= row.horizon;
  const next = isOrdered
    ? Math.max(used, ...since.map((heard) => heard.used ?? 0)) + guesses
    : Math.max(row.used, used);
  if (isOrdered) settleWindow(row, { used: next, isCounted: asked.isCounted === true }, moment);
  else if (next > 0 && row.endsAt === undefined) Object.assign(row, { used: next, ...windowUntil(now, row.windowSec) });
  if (isOrdered && since.length === 0) {
    row.exactAt = asked.at;
    row.late = 0;
  }
  if (isOrdered) row.guessed = guesses;
  row.used = next;
  remember(row, { seq, used });
  if (told.remaining > 0 && isOrdered && asked.seq >= row.coolSeq) row.coolUntil = undefined;
  if (told.remaining > 0) see(row);
}

function see(row: BudgetRow): void {
  row.isBlind = false;
  if (row.part?.isUnseen) row.part = { ...row.part, left: Infinity };
}

/** Nobody knows since when. */
const windowUntil = (now: number, windowSec: number): Pick<BudgetRow, "beganAt" | "endsAt"> => ({
  beganAt: now - windowSec * 1_000,
  endsAt: endOf(now, windowSec),
});

/** What the order of answers shows of the window: that there was a refill, or that it began before anybody here spent. */
function settleWindow(row: BudgetRow, next: { used: number; isCounted: boolean }, { now }: Moment): void {
  const { used, isCounted } = next;
  const window = windowUntil(now, row.windowSec);
  // Where there can't be one yet, guesses that were wrong and an upstream that counts every second one look like a refill.
  const mayBeOver = row.beganAt !== undefined && row.beganAt <= now - row.windowSec * 1_000;
  const least = mayBeOver ? row.used + (isCounted ? 1 : 0) : row.used - row.guessed;
  if (used < least) return refill(row, { ...window, used, beganAt: row.exactAt ?? window.beganAt });
  if (used === 0) row.beganAt = row.endsAt = undefined;
  else if (row.endsAt === undefined) Object.assign(row, window);
}

/** Upstream refused because nothing is left. */
export function exhaust(row: BudgetRow, forSec: number | undefined, { seq, now }: Moment): void {
  const isGiven = forSec !== undefined && forSec >= 0;
  const until = isGiven
    ? now + Math.min(forSec, limits.windowSecMax) * 1_000
    : Math.max(row.endsAt ?? 0, row.endsAt === undefined ? endOf(now, row.windowSec) : now + 1_000);
  row.coolUntil = until;
  row.coolSeq = seq;
  row.endsAt = until;
  row.late = 0;
  row.isBlind = true;
  if (row.limit === undefined) return;
  row.used = Math.max(row.used, row.limit);
  remember(row, { seq, used: row.limit });
}

const isCount = (value: number, max: number): boolean => Number.isInteger(value) && value >= 0 && value <= max;

export const isTold = ({ limit, remaining, windowSec }: Told): boolean =>
  isCount(limit, limits.limitMax) &&
  isCount(remaining, limits.limitMax) &&
  isCount(windowSec, limits.windowSecMax) &&
  windowSec > 0;
