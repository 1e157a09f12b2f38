import type { Access } from "@pullring/core";

import { errnoOf, isFull, type Fs } from "./fs.ts";
import type { Log } from "./log.ts";
import { shareFile, type SharedFile } from "./shared-file.ts";
import type { Space } from "./space.ts";

/** The file under a spool: written by one, at a path of its own until it is published. */
export interface SpoolFile {
  /** Held for the spool, which lets it go. */
  readonly shared: SharedFile;
  /** Writes all chunks, one after the other. Rejects when the disk refuses, after one attempt to make room. */
  write(chunks: readonly Uint8Array[], position: number): Promise<void>;
  /** Moves `size` verified bytes to their final path, for good. Never rejects: false = not kept, and nothing is left behind. */
  publish(size: number, access: Access): Promise<boolean>;
  /** Removes the path; who holds the file keeps its bytes. Never rejects. */
  discard(): Promise<void>;
}

export interface PublishFacts {
  readonly path: string;
  readonly size: number;
  readonly access: Access;
  /** To be called in the turn in which the bytes count as a blob, so that they never count twice. */
  readonly onKept: () => void;
}

export interface SpoolFileOptions {
  readonly fs: Fs;
  readonly path: string;
  readonly space: Space;
  readonly log: Log;
  /** Makes the file a blob: from then on the path is no more. Never rejects. */
  readonly publish: (file: SharedFile, facts: PublishFacts) => Promise<boolean>;
}

/** Rejects when the file can't be made. */
export async function openSpoolFile({ fs, path, space, log, publish }: SpoolFileOptions): Promise<SpoolFile> {
  const shared = shareFile(await fs.open(path, "wx+"), fs.close);
  let reserved = 0;
  let discarding: Promise<void> | undefined;

  function giveBack(): void {
    space.release(reserved);
    reserved = 0;
  }

  async function reserve(bytes: number): Promise<void> {
    if (!(await space.reserve(bytes))) throw new Error("the blob does not fit into the configured size of the disk");
    // Discarded meanwhile: what is reserved from now on would never be given back.
    if (discarding) space.release(bytes);
    else reserved += bytes;
  }

  async function writeAll(chunks: readonly Uint8Array[], position: number): Promise<void> {
    let rest = chunks;
    let at = position;
    while (rest.length > 0) {
      const written = await fs.write(shared.fd, rest, at);
      if (written === 0) throw new Error("the disk took no bytes");
      rest = skip(rest, written);
      at += written;
    }
  }

  async function unlink(): Promise<void> {
    try {
      await fs.unlink(path);
    } catch (error) {
      if (errnoOf(error) !== "ENOENT") log.warn({ err: error, path }, "a spool could not be removed");
    }
    giveBack();
  }

  return {
    shared,
    async write(chunks, position) {
      const bytes = chunks.reduce((sum, { length }) => sum + length, 0);
      await reserve(bytes);
      try {
        await writeAll(chunks, position);
      } catch (error) {
        if (!isFull(error)) throw error;
        await space.makeRoom(bytes);
        await writeAll(chunks, position);
      }
    },
    async publish(size, access) {
      const kept = await publish(shared, { path, size, access, onKept: giveBack });
      if (!kept) await (discarding ??= unlink());
      return kept;
    },
    discard: () => (discarding ??= unlink()),
  };
}

/** What is left of the chunks after their first `written` bytes. */
function skip(chunks: readonly Uint8Array[], written: number): Uint8Array[] {
  let left = written;
  return chunks.flatMap((chunk) => {
    const skipped = Math.min(left, chunk.length);
    left -= skipped;
    return skipped === chunk.length ? [] : [chunk.subarray(skipped)];
  });
}
