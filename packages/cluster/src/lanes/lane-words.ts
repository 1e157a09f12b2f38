import type { LaneFacts } from "@pullring/core";

import { laneLimits as limits } from "../limits.ts";
import type { BoardReading, RunningPause } from "./board-store.ts";

/** Printable, without spaces but where a key has them: names come from configurations, and whoever writes to Redis. */
const wordGrammar = /^[\x21-\x7e]{1,300}$/;
const keyGrammar = /^[\x21-\x7e](?:[\x20-\x7e]{0,298}[\x21-\x7e])?$/;
const benchedGrammar = /^[a-z_]{1,32}$/;

/** The lanes of one node as they cross; those beyond the bounds stay at home. */
export function formatLanes(lanes: readonly LaneFacts[]): string {
  const rows: string[] = [];
  let bytes = 2;
  for (const { name, upstream, account, egress, budget, source, unmetered, benched } of lanes.slice(
    0,
    limits.lanesMax,
  )) {
    const row = JSON.stringify({ name, upstream, account, egress, budget, source, unmetered, benched });
    bytes += Buffer.byteLength(row) + 1;
    if (bytes > limits.documentBytesMax) break;
    rows.push(row);
  }
  return `[${rows.join(",")}]`;
}

/** Those lanes that could be this node's; what else stands there is left out. */
export function parseLanes(node: string, text: string): readonly LaneFacts[] {
  if (text.length > limits.documentBytesMax) return [];
  let found: unknown;
  try {
    found = JSON.parse(text);
  } catch {
    return [];
  }
  if (!Array.isArray(found)) return [];
  return found.slice(0, limits.lanesMax).flatMap((row) => laneOf(node, row) ?? []);
}

function laneOf(node: string, row: unknown): LaneFacts | undefined {
  const { name, upstream, account, egress, budget, source, unmetered, benched } = (row ?? {}) as Record<
    string,
    unknown
  >;
  const isLane = is(wordGrammar, upstream) && is(wordGrammar, egress) && is(wordGrammar, name);
  const isKnown = maybe(wordGrammar, account) && maybe(keyGrammar, budget) && maybe(keyGrammar, source);
  if (!isLane || !isKnown || !maybe(benchedGrammar, benched)) return undefined;
  // A node speaks for its own lanes only.
  if (name !== `${account ?? "anonymous"}@${egress}@${node}`) return undefined;
  return { name, upstream, account, egress, node, budget, source, unmetered: unmetered === true, benched };
}

const is = (grammar: RegExp, value: unknown): value is string => typeof value === "string" && grammar.test(value);
const maybe = (grammar: RegExp, value: unknown): value is string | undefined =>
  value === undefined || is(grammar, value);

/** undefined = no reading: Redis answered something else. */
export function parseReading(answer: unknown): BoardReading | undefined {
  if (!Array.isArray(answer)) return undefined;
  const [documents, pauses] = answer as unknown[];
  if (!Array.isArray(documents) || !Array.isArray(pauses)) return undefined;
  return {
    documents: pairs(documents)
      .slice(0, limits.nodesMax)
      .flatMap(([node, text]) => (typeof node === "string" && typeof text === "string" ? [{ node, text }] : [])),
    pauses: pairs(pauses)
      .slice(0, limits.pausesMax)
      .flatMap(([key, leftMs]) => pauseOf(key, leftMs) ?? []),
  };
}

function pairs(flat: readonly unknown[]): (readonly [unknown, unknown])[] {
  return Array.from({ length: Math.floor(flat.length / 2) }, (_, at) => [flat[2 * at], flat[2 * at + 1]] as const);
}

/** As it is published. undefined = word of nothing. */
export function parsePause(text: string): RunningPause | undefined {
  const at = text.indexOf(" ");
  return at < 1 ? undefined : pauseOf(text.slice(at + 1), text.slice(0, at));
}

/** Whoever can write there can else pause a source for ever. */
function pauseOf(key: unknown, ms: unknown): RunningPause | undefined {
  const leftMs = Number(ms);
  if (!is(keyGrammar, key) || !Number.isFinite(leftMs) || leftMs <= 0) return undefined;
  return { key, leftMs: Math.min(leftMs, limits.pauseMsMax) };
}
