import type { Digest } from "@pullring/oci";

import { hasCode, PullringError } from "./errors.ts";
import { limits } from "./limits.ts";
import type { BlobHead, BlobSource, Clock, Repository } from "./ports.ts";

export interface TransferOptions {
  readonly source: Pick<BlobSource, "get">;
  readonly clock: Clock;
  readonly repository: Repository;
  readonly digest: Digest;
  /** Bytes that are there already, from a spool that was kept. */
  readonly received: number;
  /** What the blob's manifest says: a body whose end only the connection's end tells may have been cut. */
  readonly sizeExpected?: number | undefined;
  readonly signal: AbortSignal;
  /** Called for the first answer only. A throw ends the transfer with that error. */
  readonly onHead: (head: BlobHead) => void;
  readonly onChunk: (chunk: Uint8Array) => void | Promise<void>;
}

/**
 * Brings a blob from `received` to its end over as many requests as it takes. What a cut body brought is kept and the
 * next request asks for the rest, from wherever that comes then; a source that ignores the range sends the head again, which is skipped, never spliced in:
 * the digest is over exactly the bytes that readers saw. Resolves to the number of bytes.
 */
export async function transfer(options: TransferOptions): Promise<number> {
  const { source, repository, digest, signal } = options;
  let received = options.received;
  let size: number | undefined;
  let fruitless = 0;
  let headed = false;
  for (;;) {
    const before = received;
    let position = 0;
    try {
      const sink = {
        head(head: BlobHead): void {
          if (head.offset > received)
            throw new PullringError("corrupt", `the source began at ${head.offset}, not at ${received}`);
          if (size !== undefined && head.size !== undefined && head.size !== size)
            throw new PullringError("corrupt", `the source says ${head.size} bytes now and said ${size} before`);
          position = head.offset;
          size ??= head.size;
          if (!headed) options.onHead(head);
          headed = true;
        },
        write(chunk: Uint8Array): void | Promise<void> {
          const known = Math.min(chunk.length, Math.max(0, received - position));
          position += chunk.length;
          if (known === chunk.length) return undefined;
          received = position;
          return options.onChunk(known === 0 ? chunk : chunk.subarray(known));
        },
      };
      // One byte of overlap: a range that begins at the end of what turns out to be everything could not be satisfied.
      await source.get({ repository, digest, offset: Math.max(0, received - 1), signal }, sink);
      const end = size ?? options.sizeExpected;
      if (end === undefined || received >= end) return received;
      throw new PullringError("cut", `the source ended at ${received} of ${end} bytes`);
    } catch (error) {
      signal.throwIfAborted();
      fruitless = received - before >= limits.resumeProgressBytesMin ? 0 : fruitless + 1;
      if (!headed || !hasCode(error, "cut", "unavailable") || fruitless > limits.resumesWithoutProgressMax) throw error;
      await options.clock.sleep(limits.resumePauseMs * fruitless, signal);
    }
  }
}
