import { createHash } from "node:crypto";

/** Bytes of known size, made when asked for, so that a blob of 10 GiB needs no memory. */
export interface Bytes {
  readonly size: number;
  /** Fills the whole target with what is at `offset`; the caller stays within `size`. */
  copy(target: Buffer, offset: number): void;
}

export type DigestAlgorithm = "sha256" | "sha512";

/** Bytes per step when something is read through; also what one write to a socket holds. */
export const chunkBytes = 1024 * 1024;

export const bytesOf = (source: Uint8Array): Bytes => ({
  size: source.byteLength,
  copy: (target, offset) => target.set(source.subarray(offset, offset + target.length)),
});

export const textBytes = (text: string): Bytes => bytesOf(Buffer.from(text));

export const zeroBytes = (size: number): Bytes => ({ size, copy: (target) => void target.fill(0) });

export const sliceOf = (bytes: Bytes, start: number, size: number): Bytes => ({
  size,
  copy: (target, offset) => bytes.copy(target, start + offset),
});

export function concatBytes(parts: readonly Bytes[]): Bytes {
  const size = parts.reduce((sum, part) => sum + part.size, 0);
  const copy = (target: Buffer, offset: number): void => {
    let start = 0;
    for (const part of parts) {
      const from = Math.max(start, offset);
      const to = Math.min(start + part.size, offset + target.length);
      if (from < to) part.copy(target.subarray(from - offset, to - offset), from - start);
      start += part.size;
    }
  };
  return { size, copy };
}

/** The same bytes, the one at `position` changed if there is such a position. */
export function corruptedAt(bytes: Bytes, position: number | undefined): Bytes {
  if (position === undefined) return bytes;
  const copy = (target: Buffer, offset: number): void => {
    bytes.copy(target, offset);
    const index = position - offset;
    if (index >= 0 && index < target.length) target[index] = (target[index] ?? 0) ^ 0xff;
  };
  return { size: bytes.size, copy };
}

export function readAll(bytes: Bytes): Buffer {
  const whole = Buffer.allocUnsafe(bytes.size);
  if (bytes.size > 0) bytes.copy(whole, 0);
  return whole;
}

export function digestOfBytes(bytes: Bytes, algorithm: DigestAlgorithm = "sha256"): string {
  const hash = createHash(algorithm);
  const chunk = Buffer.allocUnsafe(Math.min(bytes.size, chunkBytes));
  for (let offset = 0; offset < bytes.size; offset += chunk.length) {
    const part = chunk.subarray(0, Math.min(chunk.length, bytes.size - offset));
    bytes.copy(part, offset);
    hash.update(part);
  }
  return `${algorithm}:${hash.digest("hex")}`;
}
