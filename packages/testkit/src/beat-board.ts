import type { NodeId } from "@pullring/core";

import type { VirtualClock } from "./virtual-clock.ts";

interface Order {
  readonly mode: "beat" | "claim" | "leave";
  readonly id: string;
  readonly incarnation: string;
  readonly document: string;
  readonly generation: string;
  readonly isNews: boolean;
}

/** The members of a cluster as they stand in Redis, with what can befall them there. */
export interface BeatBoard {
  /** As one node reaches it. */
  of(node: NodeId): { exchange(order: Order): Promise<unknown>; onHint(listener: () => void): () => void };
  /** Nobody gets an answer. */
  isDown: boolean;
  /** Nodes that get none. */
  readonly severed: Set<NodeId>;
  /** Hints are lost. */
  isMute: boolean;
  /** How far the board's own clock is off. */
  clockOffsetMs: number;
  /** What everybody gets instead of the truth. */
  lie: { readonly reply: unknown } | undefined;
  /** As FLUSHALL does. */
  wipe(): void;
  /** What a stranger writes. */
  put(id: string, document: string): void;
  /** Who stands there, late or not, and has not said goodbye. */
  ids(): readonly string[];
  readonly exchanges: number;
}

const expiryMs = 10_000;
const retentionMs = 60_000;
const rowsMax = 320;

export function beatBoard(clock: Pick<VirtualClock, "now">): BeatBoard {
  const rows = new Map<string, { atMs: number; document: string; isGone?: boolean }>();
  const listeners = new Map<() => void, NodeId>();
  let generation: string | undefined;
  let exchanges = 0;

  const isCut = (node: NodeId): boolean => board.isDown || board.severed.has(node);

  function hint(): void {
    if (board.isMute) return;
    for (const [listener, node] of listeners) if (!isCut(node)) listener();
  }

  function answer({ mode, id, incarnation, document, generation: fresh, isNews }: Order): unknown {
    const nowMs = clock.now() + board.clockOffsetMs;
    generation ??= fresh;
    for (const row of rows.values()) row.atMs = Math.min(row.atMs, nowMs);
    for (const [late, { atMs }] of rows) if (nowMs - atMs >= retentionMs) rows.delete(late);
    const held = rows.get(id);
    const isOwn = held?.document.startsWith(`${incarnation} `) === true;
    const mayWrite = isOwn || mode === "claim" || !held || nowMs - held.atMs >= expiryMs;
    if (mode === "leave") {
      if (isOwn) {
        rows.set(id, { atMs: nowMs - expiryMs, document, isGone: true });
        hint();
      }
    } else if (mayWrite) {
      rows.set(id, { atMs: nowMs, document });
      if (isNews) hint();
    }
    const newest = [...rows].sort(([, a], [, b]) => b.atMs - a.atMs).slice(0, rowsMax);
    const cells = newest.flatMap(([of, row]) => [of, String(row.atMs), String(nowMs - row.atMs), row.document]);
    return [generation, mode !== "leave" && mayWrite ? 1 : 0, ...cells];
  }

  const board: BeatBoard = {
    isDown: false,
    severed: new Set(),
    isMute: false,
    clockOffsetMs: 0,
    lie: undefined,
    wipe() {
      rows.clear();
      generation = undefined;
    },
    put: (id, document) => void rows.set(id, { atMs: clock.now() + board.clockOffsetMs, document }),
    ids: () =>
      [...rows]
        .filter(([, { isGone }]) => !isGone)
        .map(([id]) => id)
        .sort(),
    get exchanges() {
      return exchanges;
    },
    of: (node) => ({
      exchange(order) {
        exchanges += 1;
        if (isCut(node)) return Promise.reject(new Error("no answer from Redis"));
        return Promise.resolve(board.lie ? board.lie.reply : answer(order));
      },
      onHint(listener) {
        listeners.set(listener, node);
        return () => void listeners.delete(listener);
      },
    }),
  };
  return board;
}
