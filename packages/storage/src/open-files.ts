import type { Digest } from "@pullring/oci";
import { LRUCache } from "lru-cache";

import { isExhausted, type Fs } from "./fs.ts";
import { limits } from "./limits.ts";
import { shareFile, type SharedFile } from "./shared-file.ts";

/** Blobs' files, open for reading. All readers of a blob share one descriptor, and the last used ones stay open: a hit then costs no system call. */
export interface OpenFiles {
  /** The blob's file, held for the caller. Rejects unless it can be opened and has this size. */
  open(digest: Digest, size: number): Promise<SharedFile>;
  /** Takes a hold of its own on a file that is at its final path now. */
  adopt(digest: Digest, file: SharedFile): void;
  /** The next open looks at the disk again. */
  forget(digest: Digest): void;
  /** Closes all that nobody reads. */
  closeIdle(): void;
}

export interface OpenFilesOptions {
  readonly fs: Pick<Fs, "open" | "fstat" | "close">;
  readonly pathOf: (digest: Digest) => string;
}

export function makeOpenFiles({ fs, pathOf }: OpenFilesOptions): OpenFiles {
  const opening = new Map<Digest, Promise<SharedFile>>();
  const recent = new LRUCache<Digest, SharedFile>({
    max: limits.openFilesMax,
    dispose: (file) => file.release(),
  });

  async function openFd(path: string): Promise<number> {
    try {
      return await fs.open(path, "r");
    } catch (error) {
      if (!isExhausted(error) || recent.size === 0) throw error;
      recent.clear();
      return await fs.open(path, "r");
    }
  }

  async function openNew(digest: Digest, size: number, isWanted: () => boolean): Promise<SharedFile> {
    const file = shareFile(await openFd(pathOf(digest)), fs.close);
    try {
      const found = await fs.fstat(file.fd);
      if (!found.isFile() || found.size !== size) throw new Error(`the file has ${found.size} bytes, not ${size}`);
      if (!isWanted()) throw new Error("the blob was removed while it was opened");
      recent.set(digest, file);
      return file;
    } catch (error) {
      file.release();
      throw error;
    }
  }

  function openOnce(digest: Digest, size: number): Promise<SharedFile> {
    const running = opening.get(digest);
    if (running) return running;
    const isCurrent = (): boolean => opening.get(digest) === started;
    const started: Promise<SharedFile> = openNew(digest, size, isCurrent).finally(() => {
      if (isCurrent()) opening.delete(digest);
    });
    opening.set(digest, started);
    return started;
  }

  return {
    async open(digest, size) {
      for (;;) {
        const held = recent.get(digest);
        if (held?.hold()) return held;
        // Between its opening and this turn others may have pushed it out again.
        const opened = await openOnce(digest, size);
        if (opened.hold()) return opened;
      }
    },
    adopt(digest, file) {
      opening.delete(digest);
      if (file.hold()) recent.set(digest, file);
    },
    forget(digest) {
      opening.delete(digest);
      recent.delete(digest);
    },
    closeIdle: () => recent.clear(),
  };
}
