/** A stretch of a growing body in memory: bytes come in at the end and are given up at the start, whole chunks at a time. */
export interface ByteWindow {
  readonly start: number;
  readonly end: number;
  push(chunk: Uint8Array): void;
  /** Chunks from the start: at least one if there is any, then as many as fit in both bounds. */
  first(bytesMax: number, chunksMax: number): Uint8Array[];
  /** Bytes at an offset within, from one chunk: at least one, at most `lengthMax`. */
  at(offset: number, lengthMax: number): Uint8Array;
  /** Gives up the chunks that end at or below the offset. */
  dropTo(offset: number): void;
  /** Gives up chunks that end at or below the offset, oldest first, while more than `bytesMax` are held. */
  shrink(bytesMax: number, offset: number): void;
}

interface Piece {
  readonly offset: number;
  readonly chunk: Uint8Array;
}

export function makeByteWindow(): ByteWindow {
  let pieces: Piece[] = [];
  /** Index of the first piece that is still held; what lies before it is cut off now and then. */
  let head = 0;
  let start = 0;
  let end = 0;

  const endOf = ({ offset, chunk }: Piece): number => offset + chunk.length;

  function dropFirst(piece: Piece): void {
    start = endOf(piece);
    head += 1;
    if (head < 64 || head * 2 < pieces.length) return;
    pieces = pieces.slice(head);
    head = 0;
  }

  function dropWhile(isDue: (piece: Piece) => boolean): void {
    for (let piece = pieces[head]; piece && isDue(piece); piece = pieces[head]) dropFirst(piece);
    if (head === pieces.length) {
      pieces = [];
      head = 0;
    }
  }

  /** The piece that holds the offset, by halving. */
  function find(offset: number): Piece | undefined {
    let low = head;
    let high = pieces.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((pieces[middle]?.offset ?? end) <= offset) low = middle;
      else high = middle - 1;
    }
    return pieces[low];
  }

  return {
    get start() {
      return start;
    },
    get end() {
      return end;
    },
    push(chunk) {
      pieces.push({ offset: end, chunk });
      end += chunk.length;
    },
    first(bytesMax, chunksMax) {
      const chunks: Uint8Array[] = [];
      let bytes = 0;
      for (let index = head; index < pieces.length && chunks.length < chunksMax; index += 1) {
        const chunk = pieces[index]?.chunk;
        if (!chunk || (chunks.length > 0 && bytes + chunk.length > bytesMax)) break;
        chunks.push(chunk);
        bytes += chunk.length;
      }
      return chunks;
    },
    at(offset, lengthMax) {
      const piece = offset >= start && offset < end ? find(offset) : undefined;
      if (!piece) throw new RangeError(`byte ${offset} is not held: only ${start} to ${end}`);
      const from = offset - piece.offset;
      return piece.chunk.subarray(from, from + lengthMax);
    },
    dropTo: (offset) => dropWhile((piece) => endOf(piece) <= offset),
    shrink: (bytesMax, offset) => dropWhile((piece) => end - start > bytesMax && endOf(piece) <= offset),
  };
}
