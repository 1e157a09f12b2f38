import type { MemberDocument } from "./member.ts";
import { parseDocument } from "./member.ts";
import { membershipLimits as limits } from "../limits.ts";

/** Where nodes tell that they live, and read who else does: Redis, in one round trip. */
export interface BeatStore {
  /** Rejects when there is no answer. What it resolves to may come from anybody: `parseReading` judges it. */
  exchange(order: BeatOrder): Promise<unknown>;
  /** Calls when somebody may have joined or left: a hint to look, which may be lost. Returns how to end it. */
  onHint(listener: () => void): () => void;
}

export interface BeatOrder {
  /**
   * `beat`: say that this node lives, unless another incarnation with its id does; `claim`: whoever else does; `leave`: be gone,
   * with a last row that has expired.
   * All three answer with who is there.
   */
  readonly mode: "beat" | "claim" | "leave";
  readonly id: string;
  readonly incarnation: string;
  readonly document: string;
  /** Names the set of members if there is none: after a wipe it is another one. */
  readonly generation: string;
  /** Others should look at once. */
  readonly isNews: boolean;
}

export interface Beat {
  readonly document: MemberDocument;
  /** Time of the last beat by the store's own clock, ms: compared for change only. */
  readonly score: number;
  /** How long ago that was, by the same clock. */
  readonly ageMs: number;
}

export interface Reading {
  readonly generation: string;
  /** Whether this node's own beat stands under its id. */
  readonly isMine: boolean;
  readonly beats: readonly Beat[];
  /** Ids, or what stood in their place, of rows that can't be from a node. */
  readonly junk: readonly string[];
}

const generationGrammar = /^[A-Za-z0-9-]{8,64}$/;
const rowCells = 4;

/** `[generation, mine, (id, score, age, document) …]`; undefined for anything else, which must count as no answer. */
export function parseReading(reply: unknown): Reading | undefined {
  if (!Array.isArray(reply)) return undefined;
  const [generation, mine, ...cells] = reply as unknown[];
  if (typeof generation !== "string" || !generationGrammar.test(generation)) return undefined;
  if ((mine !== 0 && mine !== 1) || cells.length % rowCells !== 0) return undefined;
  if (cells.length > limits.rowsReadMax * rowCells) return undefined;
  const beats: Beat[] = [];
  const junk: string[] = [];
  for (let index = 0; index < cells.length; index += rowCells) {
    const [id, score, age, text] = cells.slice(index, index + rowCells);
    const document = parseDocument(id, text);
    const [at, ageMs] = [Number(score), Number(age)];
    if (document && Number.isFinite(at) && Number.isFinite(ageMs))
      beats.push({ document, score: at, ageMs: Math.max(0, ageMs) });
    else junk.push(String(id).slice(0, 64));
  }
  return { generation, isMine: mine === 1, beats, junk };
}
