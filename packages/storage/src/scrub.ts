import type { Clock } from "@pullring/core";
import { algorithmOf, hexOf, type Digest } from "@pullring/oci";

import type { BlobEntry } from "./blob-index.ts";
import { errnoOf, type Fs } from "./fs.ts";
import type { Hashing } from "./hashing.ts";
import { limits } from "./limits.ts";
import { shareFile } from "./shared-file.ts";

export interface ScrubOptions {
  readonly fs: Pick<Fs, "open" | "close">;
  readonly clock: Clock;
  readonly hashing: Hashing;
  readonly pathOf: (digest: Digest) => string;
  /** What is held now. */
  readonly blobs: () => Iterable<[Digest, BlobEntry]>;
  /** The blob's bytes are not what they were, or can't be read. */
  readonly onRotten: (digest: Digest, entry: BlobEntry, error: Error) => void;
  readonly signal: AbortSignal;
}

/**
 * Bytes rot at rest, and large blobs go from the file to the socket unseen. So each is hashed again after a restart and once a week,
 * slowly, one at a time. Resolves when the signal aborts.
 */
export async function scrub(options: ScrubOptions): Promise<void> {
  const { clock, signal, blobs } = options;
  try {
    for (;;) {
      await clock.sleep(limits.scrubPauseMs, signal);
      for (const [digest, entry] of blobs()) {
        if (clock.monotonic() - entry.verifiedAt < limits.scrubAgeMs) continue;
        await verify(digest, entry, options);
      }
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

async function verify(digest: Digest, entry: BlobEntry, options: ScrubOptions): Promise<void> {
  const { fs, clock, hashing, pathOf, onRotten, signal } = options;
  // A file that can't be opened is found out by whoever wants it.
  const fd = await fs.open(pathOf(digest), "r").catch(() => undefined);
  if (fd === undefined) return;
  const file = shareFile(fd, fs.close);
  const job = hashing.start(algorithmOf(digest), file);
  file.release();
  try {
    for (let at = 0; at < entry.size; at += limits.scrubStepBytes) {
      job.follow(Math.min(at + limits.scrubStepBytes, entry.size));
      await clock.sleep(limits.scrubStepMs, signal);
    }
    const found = await job.finish();
    if (found !== hexOf(digest)) onRotten(digest, entry, new Error(`the bytes hash to ${found}`));
    entry.verifiedAt = clock.monotonic();
  } catch (error) {
    // Without a code it was the thread that failed, or the scrub that ended: that says nothing about the file.
    if (errnoOf(error) !== undefined) onRotten(digest, entry, error as Error);
    signal.throwIfAborted();
  } finally {
    job.drop();
  }
}
