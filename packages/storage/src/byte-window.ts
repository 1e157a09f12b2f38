import { limits } from "./limits.ts";
import type { Slabs } from "./slabs.ts";

/** A stretch of a growing body in memory: bytes are copied in at the end and given up at the start. */
export interface ByteWindow {
  readonly start: number;
  readonly end: number;
  /** Copies the bytes. */
  push(chunk: Uint8Array): void;
  /** Pieces from the start, or from an offset: at least one byte if there is any, at most `bytesMax`. They stay what they are until they are given up. */
  first(bytesMax: number, from?: number): Uint8Array[];
  /** Bytes at an offset within: at least one, at most `lengthMax`. */
  at(offset: number, lengthMax: number): Uint8Array;
  /** Gives up the bytes below the offset. */
  dropTo(offset: number): void;
  /** Gives up bytes below the offset, oldest first, while more than `bytesMax` are held. */
  shrink(bytesMax: number, offset: number): void;
  /** Gives up all bytes; those that were handed out stay what they are. */
  leave(): void;
  /** From now on bytes that were handed out stay what they are also when they are given up: their memory is not used again. */
  lend(): void;
}

interface Piece {
  readonly offset: number;
  readonly memory: Buffer;
  used: number;
}

const endOf = ({ offset, used }: Piece): number => offset + used;

/** Bytes of one piece from the offset on. */
const slice = ({ offset, memory, used }: Piece, from: number, lengthMax: number): Uint8Array =>
  memory.subarray(from - offset, Math.min(used, from - offset + lengthMax));

/** Bodies that stay small get memory that fits; larger ones share slabs. */
export function makeByteWindow(slabs: Slabs): ByteWindow {
  let pieces: Piece[] = [];
  let start = 0;
  let end = 0;
  let isLent = false;

  /** A piece with room for more. */
  function last(wanted: number): Piece {
    const newest = pieces.at(-1);
    if (newest && newest.used < newest.memory.length) return newest;
    const isSmall = end + wanted <= limits.slabFromBytes;
    const piece = { offset: end, memory: isSmall ? Buffer.allocUnsafeSlow(wanted) : slabs.take(), used: 0 };
    pieces.push(piece);
    return piece;
  }

  function giveUp(offset: number): void {
    start = Math.max(start, Math.min(offset, end));
    const held = pieces.findIndex((piece) => endOf(piece) > start);
    for (const { memory } of pieces.splice(0, held < 0 ? pieces.length : held))
      if (!isLent && memory.length === limits.slabBytes) slabs.give(memory);
  }

  return {
    get start() {
      return start;
    },
    get end() {
      return end;
    },
    push(chunk) {
      for (let taken = 0; taken < chunk.length;) {
        const piece = last(chunk.length - taken);
        const part = chunk.subarray(taken, taken + piece.memory.length - piece.used);
        // Not by `set`, which takes five times as long where memory is shared: V8 moves it word by word, Node's `fill` as a whole.
        piece.memory.subarray(piece.used, piece.used + part.length).fill(part);
        piece.used += part.length;
        end += part.length;
        taken += part.length;
      }
    },
    first(bytesMax, from = start) {
      const parts: Uint8Array[] = [];
      let at = from;
      for (const piece of pieces) {
        if (endOf(piece) <= at) continue;
        if (at - from >= bytesMax) break;
        const part = slice(piece, at, bytesMax - (at - from));
        parts.push(part);
        at += part.length;
      }
      return parts;
    },
    at(offset, lengthMax) {
      const piece = offset >= start ? pieces.find((each) => endOf(each) > offset) : undefined;
      if (!piece) throw new RangeError(`byte ${offset} is not held: only ${start} to ${end}`);
      return slice(piece, offset, lengthMax);
    },
    dropTo: giveUp,
    shrink: (bytesMax, offset) => giveUp(Math.min(offset, end - bytesMax)),
    leave() {
      pieces = [];
      start = end;
    },
    lend: () => void (isLent = true),
  };
}
