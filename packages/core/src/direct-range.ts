import type { Digest } from "@pullring/oci";

import { limits } from "./limits.ts";
import type { BlobSource, Repository } from "./ports.ts";

interface RangeOptions {
  readonly get: BlobSource["get"];
  readonly repository: Repository;
  readonly digest: Digest;
}

/**
 * Fetches a piece of a blob that its fill would reach too late, one at a time per fill. Its bytes are not verified, so it
 * is only for responses that end before the blob's last byte. Resolves to undefined when a piece is under way
 * already, or when upstream did not give one; then there is nothing but to wait for the fill.
 */
export function fetchRange(options: RangeOptions): (offset: number, end: number) => Promise<Uint8Array | undefined> {
  const { get, repository, digest } = options;
  let busy = false;
  let refused = false;

  async function fetch(offset: number, end: number): Promise<Uint8Array | undefined> {
    const piece = Buffer.alloc(end - offset);
    let length = 0;
    let usable = false;
    const sink = {
      head: (head: { offset: number }) => {
        usable = head.offset === offset;
      },
      write(chunk: Uint8Array) {
        if (usable && length + chunk.length <= piece.length) piece.set(chunk, length);
        length += chunk.length;
      },
    };
    await get({ repository, digest, offset, end }, sink);
    return usable && length === piece.length ? piece : undefined;
  }

  return async (offset, end) => {
    if (busy || refused) return undefined;
    busy = true;
    try {
      const piece = await fetch(offset, Math.min(end, offset + limits.directRangeBytesMax));
      refused = piece === undefined;
      return piece;
    } catch {
      refused = true;
      return undefined;
    } finally {
      busy = false;
    }
  };
}
