import { createHash, randomUUID } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { link, open, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { pipeline } from "node:stream/promises";

import type { Access } from "@pullring/core";
import { algorithmOf, hexOf, type Digest } from "@pullring/oci";

import { errnoOf, nodeFs } from "../fs.ts";
import { layoutUnder, prepare, scan } from "../layout.ts";
import type { Log } from "../log.ts";

export interface AdoptionOptions {
  /** The disk's; the caller has its lock, and no node runs on it. */
  readonly path: string;
  readonly sizeBytesMax: number;
  readonly log: Log;
}

export interface Foundling {
  readonly digest: Digest;
  readonly size: number;
  /** Wall ms: what was used last is evicted last. */
  readonly usedAt: number;
  open(): AsyncIterable<Uint8Array>;
  /** On this machine; a hard link may be made of it. */
  readonly local: string | undefined;
}

/** `held`: it was here already. `full`: it would not fit. `wrong`: its bytes do not hash to its digest. */
export type Adopted = "linked" | "copied" | "held" | "full" | "wrong";

/** Puts blobs that another program had on the disk, by the same rules as a fill: nothing has its final name before its digest matched. */
export interface Adoption {
  /** Rejects when the disk or the source fails. */
  add(blob: Foundling, how: { readonly access: Access; readonly mayLink: boolean }): Promise<Adopted>;
  /** A small blob that is here: a manifest. */
  read(digest: Digest, bytesMax: number): Promise<Buffer | undefined>;
  has(digest: Digest): boolean;
  /** Of all blobs here. */
  bytes(): number;
}

/** Another file system, or one without hard links, or a file that is somebody else's (`fs.protected_hardlinks`). */
const cannotLink: ReadonlySet<string | undefined> = new Set(["EXDEV", "EPERM", "EACCES", "EMLINK", "ENOTSUP"]);

export async function openAdoption({ path, sizeBytesMax, log }: AdoptionOptions): Promise<Adoption> {
  await prepare(nodeFs, path, log);
  const layout = layoutUnder(path);
  const held = new Map((await scan(nodeFs, path, log)).map(({ digest, size }) => [digest, size]));
  let bytes = [...held.values()].reduce((sum, size) => sum + size, 0);

  /** Whether the bytes are another name for the source's file. */
  async function bring(blob: Foundling, spool: string, mayLink: boolean): Promise<boolean> {
    if (mayLink && blob.local !== undefined) {
      try {
        await link(blob.local, spool);
        return true;
      } catch (error) {
        if (!cannotLink.has(errnoOf(error))) throw error;
      }
    }
    await pipeline(blob.open(), createWriteStream(spool, { flags: "wx", mode: 0o640 }));
    return false;
  }

  async function publish({ digest, usedAt }: Foundling, spool: string, access: Access): Promise<void> {
    await using file = await open(spool, "r");
    await file.sync();
    if (access === "public") await writeFile(layout.marker(digest), "", { mode: 0o640 });
    else await rm(layout.marker(digest), { force: true });
    // Somebody else's file keeps its own times; only the order of eviction hangs on them.
    await utimes(spool, usedAt / 1000, usedAt / 1000).catch(() => {});
    await rename(spool, layout.blob(digest));
    await using folder = await open(layout.blobFolder(digest), "r");
    await folder.sync();
  }

  return {
    async add(blob, { access, mayLink }) {
      const { digest, size } = blob;
      if (held.has(digest)) return "held";
      if (bytes + size > sizeBytesMax) return "full";
      const spool = layout.spool(randomUUID());
      try {
        const isLink = await bring(blob, spool, mayLink);
        const found = await measure(spool, digest);
        if (found.digest !== digest) return "wrong";
        await publish(blob, spool, access);
        held.set(digest, found.size);
        bytes += found.size;
        return isLink ? "linked" : "copied";
      } finally {
        await rm(spool, { force: true });
      }
    },
    async read(digest, bytesMax) {
      const size = held.get(digest);
      return size === undefined || size > bytesMax ? undefined : await readFile(layout.blob(digest));
    },
    has: (digest) => held.has(digest),
    bytes: () => bytes,
  };
}

/** What lies in the file now: read back, so that a copy is checked as it came to rest. */
async function measure(path: string, wanted: Digest): Promise<{ digest: Digest; size: number }> {
  const algorithm = algorithmOf(wanted);
  const hash = createHash(algorithm);
  await pipeline(createReadStream(path, { highWaterMark: 1024 * 1024 }), hash);
  const hex = hash.digest("hex");
  return { digest: (hex === hexOf(wanted) ? wanted : `${algorithm}:${hex}`) as Digest, size: (await stat(path)).size };
}
