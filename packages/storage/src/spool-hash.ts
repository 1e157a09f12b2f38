import { createHash } from "node:crypto";

import type { DigestAlgorithm } from "@pullring/oci";

import type { ByteWindow } from "./byte-window.ts";
import type { HashJob, Hashing } from "./hashing.ts";
import { limits } from "./limits.ts";
import type { SharedFile } from "./shared-file.ts";

/** The running hash of one spool: small bodies on the main thread, larger ones by a thread that follows the file. */
export interface SpoolHash {
  /** The next bytes, before they are written. A returned promise holds the writer back; it never rejects. */
  take(chunk: Uint8Array): Promise<void> | undefined;
  /** Instead of `take` and before `follow`, for bytes that only pass: read in the window, once so many wait there. */
  passBy(window: ByteWindow, bytesMin: number): void;
  /** Bytes that passed by: told of, and read. What was not read must stay in the window. */
  readonly passing: { readonly told: number; readonly read: number };
  /** The file has grown. */
  follow(end: number): void;
  /** From here on nothing goes into the file: these chunks, taken before, and all that follow must be sent. */
  leaveFile(unwritten: readonly Uint8Array[]): void;
  finish(): Promise<string>;
  drop(): void;
}

export interface SpoolHashOptions {
  readonly algorithm: DigestAlgorithm;
  readonly hashing: Hashing;
  readonly file: SharedFile | undefined;
  /** More of what passes by was read. */
  readonly onRead: () => void;
}

export function makeSpoolHash({ algorithm, hashing, file, onRead }: SpoolHashOptions): SpoolHash {
  /** All bytes so far, while they are few. */
  let small: Uint8Array[] = [];
  let length = 0;
  let job: HashJob | undefined;
  let inFile = file !== undefined;
  const passing = { told: 0, read: 0 };

  function push(to: HashJob, chunks: readonly Uint8Array[]): Promise<void> | undefined {
    return chunks.map((chunk) => to.push(chunk)).at(-1);
  }

  function outgrow(): Promise<void> | undefined {
    job = hashing.start(algorithm, inFile ? file : undefined);
    const chunks = small;
    small = [];
    return inFile ? undefined : push(job, chunks);
  }

  return {
    take(chunk) {
      length += chunk.length;
      if (job) return inFile ? undefined : job.push(chunk);
      small.push(Uint8Array.from(chunk));
      return length > limits.mainHashBytesMax ? outgrow() : undefined;
    },
    passing,
    passBy(window, bytesMin) {
      while (window.end - passing.told >= bytesMin) {
        const bytes = window.at(passing.told, Infinity);
        const end = passing.told + bytes.length;
        passing.told = end;
        job ??= hashing.start(algorithm, file);
        void job.share(bytes).then(() => {
          passing.read = end;
          onRead();
        });
      }
    },
    follow: (end) => job?.follow(end),
    leaveFile(unwritten) {
      inFile = false;
      // Not awaited: they are few, and the next chunk waits for them.
      if (job) void push(job, unwritten);
    },
    async finish() {
      if (job) return await job.finish();
      const hash = createHash(algorithm);
      for (const chunk of small) hash.update(chunk);
      return hash.digest("hex");
    },
    drop() {
      job?.drop();
      small = [];
    },
  };
}
