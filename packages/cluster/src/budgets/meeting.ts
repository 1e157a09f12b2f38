import { BudgetTable, advance, type Debt, isIdle, payDebt, restore, settleLate, type Settled } from "@pullring/core";

import { countersLimits as limits } from "../limits.ts";
import type { Counters } from "./document.ts";

/** What a node brings when it meets the counters. Times are Redis'. */
export interface Visitor {
  readonly node: string;
  /** What it saw when it last met them. */
  readonly seen: Counters | undefined;
  /** What it has made of it since then, by itself. */
  readonly alone: BudgetTable | undefined;
  readonly debts: ReadonlyMap<string, Debt>;
  readonly owed: readonly Settled[];
  /** That are there now. */
  readonly nodes: number;
  readonly newId: () => string;
}

export interface Met {
  readonly counters: Counters;
  /** They are not those that it saw before. */
  readonly isLost: boolean;
}

/** Nothing is taken before this. Done again to a newer version it does the same. */
export function meet(read: Counters | undefined, now: number, visitor: Visitor): Met {
  const { seen, alone, debts, owed } = visitor;
  const isOlder = read !== undefined && read.generation === seen?.generation && read.table.seq < seen.table.seq;
  const isLost = seen !== undefined && (read?.generation !== seen.generation || isOlder);
  const counters = read && !isOlder ? read : born(read?.table, now, visitor);
  const { table } = counters;
  for (const [key, known] of (alone ?? seen?.table)?.rows ?? []) {
    advance(known, { now, seq: table.seq });
    const isMissed = isLost || !table.rows.has(key);
    if (isMissed && !isIdle(known, Infinity)) restore(table, { key, known }, table.moment(now));
  }
  for (const [key, debt] of debts) {
    const row = table.rows.get(key);
    if (row) payDebt(row, debt, table.moment(now));
  }
  for (const settled of owed) settleLate(table, settled, now);
  gather(counters, now, visitor);
  return { counters, isLost };
}

function born(table: BudgetTable | undefined, now: number, { newId }: Visitor): Counters {
  return { table: table ?? new BudgetTable(), generation: newId(), bornAt: now, isOpen: false, present: new Set() };
}

function gather(counters: Counters, now: number, { node, nodes }: Visitor): void {
  if (counters.isOpen) return;
  if (counters.present.size < limits.nodesMax) counters.present.add(node);
  if (counters.present.size < nodes && now - counters.bornAt < limits.gatherMs) return;
  counters.isOpen = true;
  counters.present.clear();
}
