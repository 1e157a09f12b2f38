import { advance, type BudgetRow, count, endOf, type Moment, newRow, remainingOf, spentOf } from "./budget-row.ts";
import { BudgetTable, clipKey, type SettleOrder } from "./budget-table.ts";

export interface Alone {
  /** Who is cut off, as takers are named. */
  readonly node: string;
  /** Nodes that were there when the counters were last seen. */
  readonly among: number;
  readonly now: number;
}

/**
 * What a node goes on with when it can't reach the shared counters: its part of what was left when it last saw them, or, when it
 * never did, one at a time until upstream has told what there is. What the others had in flight then, they may have had again before
 * the counters went, unseen: so it counts twice.
 */
export function aloneWith(seen: BudgetTable | undefined, { node, among, now }: Alone): BudgetTable {
  const alone = new BudgetTable({ among, isUnseen: seen === undefined });
  alone.seq = seen?.seq ?? 0;
  for (const [key, known] of seen?.rows ?? []) {
    const row = structuredClone(known);
    const unseen = [...row.flights.values()].filter((flight) => flight.node !== node).length;
    const part = Math.floor(Math.max(0, remainingOf(row) - unseen) / among);
    for (const [id, flight] of row.flights) {
      if (flight.node === node) continue;
      // They may be counted or not; nobody here will hear of it.
      row.flights.delete(id);
      row.used += 1;
      row.guessed += 1;
    }
    if (row.limit !== undefined) row.part = { left: part, among, isUnseen: false };
    alone.rows.set(key, row);
    advance(row, { now, seq: alone.seq });
  }
  return alone;
}

/** What a node spent without the counters: how many it has spent ever, and when each that they don't know was sent and answered. */
export interface Debt {
  readonly node: string;
  readonly total: number;
  readonly unknown: readonly { readonly sentAt: number; readonly answeredAt: number }[];
}

/** Told again it changes nothing. */
export function payDebt(row: BudgetRow, { node, total, unknown }: Debt, moment: Moment): void {
  // Who has not spent for a window is forgotten.
  const spent = row.spent.get(node) ?? { total: total - unknown.length, base: total - unknown.length };
  const more = total - spent.total;
  if (more <= 0) return;
  row.spent.set(node, { total, base: spent.base });
  // Upstream's last word was asked for when these had been answered: it contains them.
  const isContained = (answeredAt: number): boolean => row.exactAt !== undefined && answeredAt < row.exactAt;
  const contained = unknown.filter(({ answeredAt }) => isContained(answeredAt)).length;
  for (const { sentAt, answeredAt } of unknown) if (!isContained(answeredAt)) count(row, sentAt, moment);
  raise(row, more - contained, moment);
}

/** The counters have lost this budget, or all of them did: as much of it is used as `known` and whoever told before knew. */
export function restore(
  table: BudgetTable,
  restoring: { readonly key: string; readonly known: BudgetRow },
  moment: Moment,
) {
  const { key, known } = restoring;
  const held = table.rows.get(key);
  const row = held ?? newRow(known, moment);
  table.rows.set(key, row);
  let used = 0;
  for (const [node, { total, base }] of known.spent) {
    const spent = row.spent.get(node);
    const more = total - (spent?.total ?? base);
    if (more <= 0) continue;
    row.spent.set(node, { total, base: spent?.base ?? base });
    used += more;
  }
  row.used += used;
  // What was used by others than these nodes, as this one has learnt of it.
  const strangers = strangersOf(known) - strangersOf(row);
  raise(row, held ? Math.max(0, strangers) : strangers, moment);
  if (known.toldAt !== undefined && row.toldAt === undefined)
    Object.assign(row, { limit: known.limit, windowSec: known.windowSec, toldAt: known.toldAt });
  row.beganAt = least(row.beganAt, known.beganAt);
  row.endsAt = most(row.endsAt, known.endsAt) ?? (row.used > 0 ? endOf(moment.now, row.windowSec) : undefined);
  if (row.endsAt !== undefined) row.beganAt ??= moment.now - row.windowSec * 1_000;
  row.coolUntil = most(row.coolUntil, known.coolUntil);
  row.coolSeq = moment.seq;
  row.isBlind ||= known.isBlind && known.part === undefined;
}

const strangersOf = (row: BudgetRow): number => row.used - spentOf(row) + row.flights.size;

/** No answer that was asked for before this can contain it. */
function raise(row: BudgetRow, by: number, { seq }: Moment): void {
  row.used = Math.max(0, row.used + by);
  row.guessed = row.used;
  row.heard = [];
  row.horizon = seq;
}

const least = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined || b === undefined ? (a ?? b) : Math.min(a, b);
const most = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined || b === undefined ? (a ?? b) : Math.max(a, b);

export interface Settled extends Omit<SettleOrder, "now"> {
  /** When it was answered, and how long ago that is. */
  readonly at: number;
  readonly ageMs: number;
}

/** What was settled while the counters were away, so far as it is worth something yet. */
export function settleLate(table: BudgetTable, { at, ageMs, outcome, ...settled }: Settled, now: number): void {
  const row = table.rows.get(clipKey(settled.key));
  if (!row) return;
  if (typeof outcome === "object" && "exhaustedForSec" in outcome) {
    const forSec = outcome.exhaustedForSec;
    const restSec = forSec === undefined ? undefined : forSec - ageMs / 1_000;
    if (restSec === undefined ? isOfWindow(row, at) : restSec > 0)
      table.settle({ ...settled, outcome: { exhaustedForSec: restSec }, now });
    return;
  }
  const isWord = typeof outcome === "object" && !row.flights.has(settled.id);
  if (!isWord || isOfWindow(row, at)) table.settle({ ...settled, outcome, now });
}

/** Upstream's window had begun by then, as far as it is known. */
const isOfWindow = (row: BudgetRow, at: number): boolean =>
  row.endsAt !== undefined && at >= row.endsAt - endOf(0, row.windowSec);

/** From one clock to another. */
export function shiftTimes(row: BudgetRow, byMs: number): void {
  for (const name of ["toldAt", "exactAt", "beganAt", "endsAt", "lateAt", "lateEndsAt", "coolUntil"] as const) {
    const at = row[name];
    if (at !== undefined) row[name] = at + byMs;
  }
  row.usedAt += byMs;
  for (const [id, flight] of row.flights) row.flights.set(id, { ...flight, at: flight.at + byMs });
}
