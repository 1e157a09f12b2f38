import { type BudgetRow, BudgetTable, budgetLimits as limits, clipKey } from "@pullring/core";

import { countersLimits } from "../limits.ts";

/** What the nodes share of one upstream's budgets. */
export interface Counters {
  readonly table: BudgetTable;
  /** Another one than before: what was there is lost. */
  readonly generation: string;
  /** By Redis' clock, ms. */
  readonly bornAt: number;
  /** All nodes have told what they knew before this generation, or had the time to. */
  isOpen: boolean;
  /** Nodes that have, while it is not open. */
  readonly present: Set<string>;
}

/** Times may be so far ahead at most; Redis' clock may have been set back. */
const aheadMsMax = (windowSec: number): number => windowSec * 1_001 + 1_000;
const numbersMax = Number.MAX_SAFE_INTEGER / 4;

export function encode({ table, generation, bornAt, isOpen, present }: Counters): string {
  const rows = [...table.rows].map(([key, { flights, spent, heard, ...row }]) => ({
    key,
    ...row,
    flights: [...flights].map(([id, { node, seq, at }]) => [id, node, seq, at]),
    spent: [...spent].map(([node, { total, base }]) => [node, total, base]),
    heard: heard.map(({ seq, used }) => [seq, used ?? -1]),
  }));
  return JSON.stringify({ generation, bornAt, isOpen, present: [...present], seq: table.seq, rows });
}

/** Whoever can write to Redis may have made it: what does not read as counters is none, and what is not seen has to be told again. */
export function decode(text: string, now: number): Counters | undefined {
  const document = parse(text);
  const { generation, bornAt, isOpen } = document;
  const seq = whole(document["seq"]);
  if (typeof generation !== "string" || generation === "" || seq === undefined) return undefined;
  const table = new BudgetTable();
  table.seq = seq;
  for (const item of listOf(document["rows"], limits.budgetsMax)) {
    const held = recordOf(item);
    const row = rowOf(held, now);
    if (row && typeof held["key"] === "string") table.rows.set(clipKey(held["key"]), row);
  }
  const present = listOf(document["present"], countersLimits.nodesMax).filter((node) => typeof node === "string");
  const born = Math.min(whole(bornAt) ?? now, now);
  return {
    table,
    generation: generation.slice(0, 64),
    bornAt: born,
    isOpen: isOpen === true,
    present: new Set(present),
  };
}

function rowOf(held: Readonly<Record<string, unknown>>, now: number): BudgetRow | undefined {
  const windowSec = whole(held["windowSec"], limits.windowSecMax);
  const [used, guessed, horizon, late] = ["used", "guessed", "horizon", "late"].map((name) => whole(held[name]));
  const [coolSeq, takenSeq, usedAt] = ["coolSeq", "takenSeq", "usedAt"].map((name) => whole(held[name]));
  const isWhole = [used, guessed, horizon, late, coolSeq, takenSeq, usedAt].every((value) => value !== undefined);
  const limit = whole(held["limit"], limits.limitMax);
  // A limit that can't be read must not become none.
  if (!windowSec || !isWhole || (limit === undefined && held["limit"] !== undefined)) return undefined;
  const time = (name: string): number | undefined => {
    const at = whole(held[name]);
    return at === undefined ? undefined : Math.min(at, now + aheadMsMax(windowSec));
  };
  const past = (name: string): number | undefined => least(whole(held[name]), now);
  return {
    limit,
    windowSec,
    used: used ?? 0,
    toldAt: past("toldAt"),
    guessed: guessed ?? 0,
    heard: heardOf(held["heard"]),
    horizon: horizon ?? 0,
    exactAt: past("exactAt"),
    beganAt: past("beganAt"),
    endsAt: time("endsAt"),
    isCarried: held["isCarried"] === true,
    late: late ?? 0,
    lateAt: past("lateAt"),
    lateEndsAt: time("lateEndsAt"),
    flights: flightsOf(held["flights"], now),
    spent: spentOf(held["spent"]),
    coolUntil: least(whole(held["coolUntil"]), now + limits.windowSecMax * 1_000),
    coolSeq: coolSeq ?? 0,
    isBlind: held["isBlind"] === true,
    takenSeq: takenSeq ?? 0,
    usedAt: Math.min(usedAt ?? now, now),
    part: undefined,
  };
}

function heardOf(value: unknown): BudgetRow["heard"] {
  return listOf(value, limits.heardMax).flatMap((item) => {
    const [seq, used] = listOf(item, 2);
    const at = whole(seq);
    return at === undefined ? [] : [{ seq: at, used: whole(used) }];
  });
}

function flightsOf(value: unknown, now: number): BudgetRow["flights"] {
  const flights: BudgetRow["flights"] = new Map();
  for (const item of listOf(value, limits.flightsMax)) {
    const [id, node, seq, at] = listOf(item, 4);
    if (typeof id !== "string" || typeof node !== "string") continue;
    flights.set(id, { node, seq: whole(seq) ?? 0, at: Math.min(whole(at) ?? now, now) });
  }
  return flights;
}

function spentOf(value: unknown): BudgetRow["spent"] {
  const spent: BudgetRow["spent"] = new Map();
  for (const item of listOf(value, limits.spendersMax)) {
    const [node, total, base] = listOf(item, 3);
    const all = whole(total);
    if (typeof node === "string" && all !== undefined)
      spent.set(node, { total: all, base: Math.min(whole(base) ?? 0, all) });
  }
  return spent;
}

function parse(text: string): Readonly<Record<string, unknown>> {
  try {
    return recordOf(JSON.parse(text));
  } catch {
    return {};
  }
}

const recordOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};

const listOf = (value: unknown, max: number): readonly unknown[] =>
  Array.isArray(value) ? (value as unknown[]).slice(0, max) : [];

/** Counts and times, rounded: clocks may tell parts of a millisecond. */
function whole(value: unknown, max: number = numbersMax): number | undefined {
  return typeof value === "number" && value >= 0 && value <= max ? Math.round(value) : undefined;
}

const least = (value: number | undefined, max: number): number | undefined =>
  value === undefined ? undefined : Math.min(value, max);
