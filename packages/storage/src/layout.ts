import { randomUUID } from "node:crypto";

import type { Access } from "@pullring/core";
import { isDigest, type Digest } from "@pullring/oci";

import { errnoOf, type Fs } from "./fs.ts";
import { limits } from "./limits.ts";
import type { Log } from "./log.ts";

/**
 * What lies under the configured path. The version is in the path: another one's files are ignored, never misread.
 *
 * ```
 * v1/
 *   blobs/<algorithm>/<hex>        verified bytes, as in an OCI image layout. Nothing else ever has such a name: files come here
 *                                  by rename, after their digest matched and fsync returned. They stay until evicted or purged.
 *   public/<algorithm>/<hex>       empty: the blob is public. Written before the blob comes, removed before it goes; without it
 *                                  the blob is `linked`, so a lost marker costs a HEAD and a crash never makes anything public.
 *   spool/<random>                 growing bytes of a fill. What a crash leaves here is removed at the next start.
 *   repositories/…                 records, see `record-path.ts`
 * ```
 */
export interface Layout {
  blob(digest: Digest): string;
  marker(digest: Digest): string;
  spool(name: string): string;
  /** The folders, to be made at the start. */
  readonly folders: readonly string[];
  readonly blobFolder: (digest: Digest) => string;
}

export interface FoundBlob {
  readonly digest: Digest;
  readonly size: number;
  readonly access: Access;
  /** When it was last used, in ms since the epoch, as far as that was written down. */
  readonly usedAt: number;
}

const algorithms = ["sha256", "sha512"] as const;

export function layoutUnder(path: string): Layout {
  const root = `${path}/v1`;
  const inFolder = (digest: Digest): string => digest.replace(":", "/");
  return {
    blob: (digest) => `${root}/blobs/${inFolder(digest)}`,
    marker: (digest) => `${root}/public/${inFolder(digest)}`,
    spool: (name) => `${root}/spool/${name}`,
    folders: [...algorithms.flatMap((name) => [`${root}/blobs/${name}`, `${root}/public/${name}`]), `${root}/spool`],
    blobFolder: (digest) => `${root}/blobs/${digest.slice(0, digest.indexOf(":"))}`,
  };
}

/** Makes the folders and removes what the last run left half done. Rejects when nothing can be written here. */
export async function prepare(fs: Fs, path: string, log: Log): Promise<void> {
  const layout = layoutUnder(path);
  for (const folder of layout.folders) await fs.mkdir(folder);
  const leftovers = await fs.readdir(layout.spool("."));
  for (const { name } of leftovers) await unlinkIfPossible(fs, layout.spool(name), log);
  if (leftovers.length > 0) log.info({ path, leftovers: leftovers.length }, "spools of the last run are removed");
  const probe = layout.spool(randomUUID());
  await fs.close(await fs.open(probe, "wx"));
  await fs.unlink(probe);
}

async function unlinkIfPossible(fs: Fs, path: string, log: Log): Promise<void> {
  try {
    await fs.unlink(path);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT")
      log.warn({ err: error, path }, "a file that does not belong here can't be removed");
  }
}

/** All blobs with their sizes by stat, the least recently used first. Removes what can't be a blob, and markers without one. */
export async function scan(fs: Fs, path: string, log: Log): Promise<FoundBlob[]> {
  const found: FoundBlob[] = [];
  for (const algorithm of algorithms) {
    const names = await blobNames(fs, { folder: `${path}/v1/blobs/${algorithm}`, algorithm, log });
    const publics = new Set((await fs.readdir(`${path}/v1/public/${algorithm}`)).map(({ name }) => name));
    const rest = names.values();
    const work = async (): Promise<void> => {
      for (const name of rest) {
        const access = publics.has(name) ? "public" : "linked";
        const blob = await statBlob(fs, { path: `${path}/v1/blobs/${algorithm}/${name}`, algorithm, name, log });
        if (blob) found.push({ ...blob, access });
      }
    };
    await Promise.all(Array.from({ length: limits.scanConcurrency }, work));
    const held = new Set(names);
    for (const name of publics)
      if (!held.has(name)) await unlinkIfPossible(fs, `${path}/v1/public/${algorithm}/${name}`, log);
  }
  return found.sort((a, b) => a.usedAt - b.usedAt);
}

interface BlobFolder {
  readonly folder: string;
  readonly algorithm: string;
  readonly log: Log;
}

async function blobNames(fs: Fs, { folder, algorithm, log }: BlobFolder): Promise<string[]> {
  const names: string[] = [];
  for (const entry of await fs.readdir(folder)) {
    if (entry.isFile() && isDigest(`${algorithm}:${entry.name}`)) names.push(entry.name);
    else if (entry.isDirectory()) log.warn({ folder, name: entry.name }, "a folder among the blobs is ignored");
    else {
      log.warn({ folder, name: entry.name }, "a file that can't be a blob is removed");
      await unlinkIfPossible(fs, `${folder}/${entry.name}`, log);
    }
  }
  return names;
}

interface BlobFile {
  readonly path: string;
  readonly algorithm: string;
  readonly name: string;
  readonly log: Log;
}

async function statBlob(
  fs: Fs,
  { path, algorithm, name, log }: BlobFile,
): Promise<Omit<FoundBlob, "access"> | undefined> {
  try {
    const { size, mtimeMs } = await fs.stat(path);
    return { digest: `${algorithm}:${name}` as Digest, size, usedAt: mtimeMs };
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") log.warn({ err: error, path }, "a blob can't be read and is left out");
    return undefined;
  }
}
