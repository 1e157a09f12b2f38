import type { NodeId } from "@pullring/core";

import { membershipLimits as limits } from "../limits.ts";
import type { Beat, Reading } from "./beat-store.ts";
import type { Member, MemberDocument } from "./member.ts";

/** Another member, as this node knows it. Times are of the local monotonic clock. */
interface Row {
  document: MemberDocument;
  score: number;
  /** When its last beat was, and when this node first read of that beat. */
  beatAtMs: number;
  heardAtMs: number;
  /** As it stands in the ring; undefined = it doesn't. */
  inRing: Member | undefined;
  /** Since when the damping counts; undefined until it has left or changed once: a first appearance is no flap. */
  ringChangedAtMs: number | undefined;
  /** Gone, and remembered only for the damping or until the damping lets it out of the ring. */
  isGone: boolean;
}

export interface KnownMember extends MemberDocument {
  readonly lastSeenMs: number;
}

/**
 * The other members by what was read of them, and which of them are in the ring. Only good readings move anything. A member goes
 * when it said that it leaves, or was not heard of for the expiry while readings were good all the time: a store that fails,
 * was wiped or has its clock moved takes nobody out.
 */
export class MemberTable {
  readonly #rows = new Map<NodeId, Row>();
  #generation: string | undefined;
  #lastGoodMs = -Infinity;
  /** Since when readings have been good without a break. */
  #goodSinceMs = Infinity;
  #wipedAtMs: number | undefined;

  get generation(): string | undefined {
    return this.#generation;
  }

  /** When the store was last found to be another one than before. */
  get wipedAtMs(): number | undefined {
    return this.#wipedAtMs;
  }

  /** Members of the ring that have told nothing of themselves since the store was found to be another one. */
  unheardSinceWipe(): readonly NodeId[] {
    const wipedAtMs = this.#wipedAtMs;
    if (wipedAtMs === undefined) return [];
    return [...this.#rows].filter(([, row]) => row.inRing && row.heardAtMs < wipedAtMs).map(([id]) => id);
  }

  /** Members that were in the ring before this node started: as if they had been heard of now. */
  seed(members: readonly Member[], nowMs: number): void {
    for (const member of members.slice(0, limits.membersMax - 1)) {
      const document = { ...member, state: "active", incarnation: "", version: "" } as const;
      const row = newRow({ document, score: Number.NaN, ageMs: 0 }, nowMs);
      row.inRing = member;
      this.#rows.set(member.id, row);
    }
  }

  /** A reading failed: what is known stays as it is. */
  miss(): void {
    this.#goodSinceMs = Infinity;
  }

  /** Returns the ids behind which another process stands than before, or none any more. */
  apply({ generation, beats }: Reading, nowMs: number): readonly NodeId[] {
    const isOther = this.#generation !== undefined && generation !== this.#generation;
    const isBroken = isOther || nowMs - this.#lastGoodMs > limits.readingGapMs;
    if (isOther) this.#wipedAtMs = nowMs;
    if (isBroken || this.#goodSinceMs === Infinity) this.#goodSinceMs = nowMs;
    this.#generation = generation;
    this.#lastGoodMs = nowMs;

    const changed: NodeId[] = [];
    const present = new Map(beats.map((beat) => [beat.document.id, beat]));
    for (const beat of present.values()) if (this.#hear(beat, nowMs)) changed.push(beat.document.id);
    for (const [id, row] of this.#rows) {
      if (!row.isGone && this.#isGone(row, present.get(id), { nowMs, isBroken })) {
        row.isGone = true;
        changed.push(id);
      }
      settle(row, nowMs);
      if (row.isGone && !row.inRing && !isDamped(row, nowMs)) this.#rows.delete(id);
    }
    return changed;
  }

  /** All that are there, in the ring or not. */
  known(nowMs: number): readonly KnownMember[] {
    return [...this.#rows.values()]
      .filter((row) => !row.isGone || row.inRing)
      .map((row) => ({ ...row.document, lastSeenMs: Math.max(0, nowMs - row.beatAtMs) }));
  }

  inRing(): readonly Member[] {
    return [...this.#rows.values()].flatMap(({ inRing }) => inRing ?? []);
  }

  /** Returns whether another process than before tells of itself. */
  #hear(beat: Beat, nowMs: number): boolean {
    const { document, score, ageMs } = beat;
    const row = this.#rows.get(document.id);
    if (!row) {
      if (ageMs < limits.expiryMs && this.#rows.size + 1 < limits.membersMax)
        this.#rows.set(document.id, newRow(beat, nowMs));
      return false;
    }
    const isOther = row.document.incarnation !== document.incarnation;
    // What was written before this node took the member for gone is no sign of life.
    if (row.isGone && (score === row.score || ageMs >= limits.expiryMs)) return false;
    if (score !== row.score) {
      row.heardAtMs = nowMs;
      row.beatAtMs = nowMs - ageMs;
    }
    row.score = score;
    row.document = document;
    row.isGone = false;
    return isOther;
  }

  #isGone(row: Row, beat: Beat | undefined, { nowMs, isBroken }: { nowMs: number; isBroken: boolean }): boolean {
    // Its last word, or that it is not there any more.
    if (row.document.state === "leaving" && (beat ? beat.ageMs >= limits.expiryMs : !isBroken)) return true;
    if (nowMs - this.#goodSinceMs < limits.expiryMs) return false;
    const unheardMs = nowMs - row.heardAtMs;
    // A beat is read up to one interval after it was written. The age alone would not do: the store's clock may be set.
    return beat
      ? beat.ageMs >= limits.expiryMs && unheardMs >= limits.expiryMs - limits.beatMs
      : unheardMs >= limits.expiryMs;
  }
}

const newRow = ({ document, score, ageMs }: Beat, nowMs: number): Row => ({
  document,
  score,
  beatAtMs: nowMs - ageMs,
  heardAtMs: nowMs,
  inRing: undefined,
  ringChangedAtMs: undefined,
  isGone: false,
});

/** Moves a member into the ring, out of it or within it, unless it moved a moment ago. */
function settle(row: Row, nowMs: number): void {
  const wanted = wantedInRing(row);
  const moves = row.inRing?.ringName !== wanted?.ringName || row.inRing?.weight !== wanted?.weight;
  if (moves && isDamped(row, nowMs)) return;
  const isFirst = row.inRing === undefined && row.ringChangedAtMs === undefined;
  if (moves && !isFirst) row.ringChangedAtMs = nowMs;
  row.inRing = wanted;
}

/** A restarted member is `joining` again and stays where it was: it serves, and the ring moves for nothing otherwise. */
function wantedInRing({ document, isGone, inRing }: Row): Member | undefined {
  const { id, url, ringName, weight, state } = document;
  if (isGone || state === "leaving" || (state === "joining" && !inRing)) return undefined;
  return { id, url, ringName, weight };
}

const isDamped = ({ ringChangedAtMs }: Row, nowMs: number): boolean =>
  ringChangedAtMs !== undefined && nowMs - ringChangedAtMs < limits.dampingMs;
