import { randomUUID } from "node:crypto";
import type { Dirent } from "node:fs";
import { dirname } from "node:path";

import type { RecordKey, RecordKind, RecordStore, Repository } from "@pullring/core";
import type { Digest } from "@pullring/oci";
import { LRUCache } from "lru-cache";

import { errnoOf, nodeFs, type Fs } from "./fs.ts";
import { makeKeyedQueue } from "./keyed-queue.ts";
import { limits } from "./limits.ts";
import type { Log } from "./log.ts";
import { pathBelow, recordFolders, recordPath, recordsOf } from "./record-path.ts";

export interface RecordsOptions {
  /** The same as the disk's. */
  readonly path: string;
  readonly log: Log;
  readonly fs?: Fs;
}

export interface StoredRecord {
  readonly key: RecordKey;
  readonly value: unknown;
}

export interface Records extends RecordStore {
  /** All records of a kind, for the start. Those that can't be read are left out. */
  list(kind: RecordKind): AsyncIterable<StoredRecord>;
  /** The repositories that have a link to the digest: looks into each that there is. */
  linked(digest: Digest): AsyncIterable<Repository>;
  /** Removes all that was written of a repository by then (ms since the epoch); what is newer stays. */
  purge(repository: Repository, beforeMs: number): Promise<void>;
}

interface Cached {
  /** Without it: known to be absent. */
  readonly value?: unknown;
  readonly bytes: number;
  saved: boolean;
}

/**
 * Records as small JSON files, written to a temporary name and renamed. Not synced: what a power cut takes costs a HEAD. What was
 * used last stays parsed in memory, absences too, so that a hit does not touch the disk.
 *
 * Their number: links and tags are written only after upstream has confirmed them, so it is bounded by what upstream has; lists
 * are bounded per repository, because clients choose what pages they are made of.
 */
export async function openRecords({ path, log, fs = nodeFs }: RecordsOptions): Promise<Records> {
  const root = `${path}/v1/repositories`;
  const fresh = `${root}/_new`;
  let usable = true;
  try {
    await fs.mkdir(fresh);
    for (const { name } of await fs.readdir(fresh)) await fs.unlink(`${fresh}/${name}`);
    await fs.writeFile(`${fresh}/probe`, "");
    await fs.unlink(`${fresh}/probe`);
  } catch (error) {
    usable = false;
    log.warn(
      { reason: String(error), path: root },
      "records can't be kept on the disk: they last as long as this process",
    );
  }
  return new RecordFiles({ root, fresh, fs, log, usable });
}

interface RecordFilesOptions {
  readonly root: string;
  readonly fresh: string;
  readonly fs: Fs;
  readonly log: Log;
  /** False: what is in memory is all there is. */
  readonly usable: boolean;
}

class RecordFiles implements Records {
  readonly #options: RecordFilesOptions;
  readonly #cache = new LRUCache<string, Cached>({
    max: limits.recordsCachedMax,
    maxSize: limits.recordBytesCachedMax,
    maxEntrySize: limits.recordBytesCachedMax / 4,
    sizeCalculation: ({ bytes }, path) => bytes + path.length,
  });
  /** Reads and writes of one record keep their order. */
  readonly #inTurn = makeKeyedQueue();

  constructor(options: RecordFilesOptions) {
    this.#options = options;
  }

  async get(key: RecordKey): Promise<unknown> {
    const path = recordPath(key);
    const cached = this.#cache.get(path) ?? (await this.#inTurn(path, () => this.#load(path, key)));
    return cached.value;
  }

  async put(key: RecordKey, value: unknown): Promise<void> {
    const path = recordPath(key);
    const text = JSON.stringify({ key, value });
    const before = this.#cache.peek(path);
    // What callers get is what a restart would give them: never their own object, nothing that JSON does not carry.
    const after: Cached = { value: parsed(text)?.value, bytes: text.length, saved: false };
    if (before?.saved && JSON.stringify({ key, value: before.value }) === text) return;
    this.#cache.set(path, after);
    await this.#inTurn(path, async () => {
      after.saved = await this.#save(path, text);
      if (after.saved && key.kind === "list") await this.#thinOut(dirname(path));
    });
  }

  async remove(key: RecordKey): Promise<void> {
    const path = recordPath(key);
    this.#cache.set(path, { bytes: 0, saved: true });
    await this.#inTurn(path, () => this.#unlink(path));
  }

  async *list(kind: RecordKind): AsyncIterable<StoredRecord> {
    for await (const path of this.#files("", recordFolders[kind])) {
      const record = await this.#read(path);
      if (record?.key.kind === kind && recordPath(record.key) === path) yield record;
    }
  }

  async *linked(digest: Digest): AsyncIterable<Repository> {
    for await (const folder of this.#repositories("")) {
      const path = `${folder}/${pathBelow("link", digest)}`;
      const record = await this.#read(path);
      if (record && recordPath(record.key) === path) yield record.key.repository;
    }
  }

  async purge(repository: Repository, beforeMs: number): Promise<void> {
    for (const kind of ["tag", "list", "link"] as const) {
      const folder = recordsOf(repository, kind);
      // Without a disk there are only those that are in memory.
      const paths = new Set([...this.#cache.keys()].filter((path) => path.startsWith(folder)));
      for await (const path of this.#files(folder.slice(0, -1), recordFolders[kind], true)) paths.add(path);
      for (const path of paths) await this.#inTurn(path, () => this.#removeOlder(path, beforeMs));
    }
  }

  async #removeOlder(path: string, beforeMs: number): Promise<void> {
    const cached = this.#cache.peek(path);
    const value = cached?.value ?? (await this.#read(path))?.value;
    if (((await this.#writtenAt(path, value)) ?? -Infinity) > beforeMs) return;
    // Written meanwhile, and waiting for its turn.
    const newer = this.#cache.peek(path);
    if (newer !== cached || newer?.saved === false) return;
    this.#cache.set(path, { bytes: 0, saved: true });
    await this.#unlink(path);
  }

  /** Tags and lists tell themselves when upstream was asked; a link is as old as its file. */
  async #writtenAt(path: string, value: unknown): Promise<number | undefined> {
    const { root, fs } = this.#options;
    const { checkedAt } = (typeof value === "object" && value !== null ? value : {}) as { checkedAt?: unknown };
    if (typeof checkedAt === "number") return checkedAt;
    return await fs.stat(`${root}/${path}`).then(
      ({ mtimeMs }) => mtimeMs,
      () => undefined,
    );
  }

  async #load(path: string, key: RecordKey): Promise<Cached> {
    const text = await this.#read(path);
    // Written while this read waited for its turn.
    const newer = this.#cache.get(path);
    if (newer) return newer;
    // On a file system that folds case, another key's record can lie here.
    const isOurs = text !== undefined && recordPath(text.key) === path && text.key.name === key.name;
    const loaded: Cached = isOurs
      ? { value: text.value, bytes: JSON.stringify(text).length, saved: true }
      : { bytes: 0, saved: true };
    this.#cache.set(path, loaded);
    return loaded;
  }

  async #read(path: string): Promise<StoredRecord | undefined> {
    const { root, fs, log, usable } = this.#options;
    if (!usable) return undefined;
    try {
      const text = await fs.readFile(`${root}/${path}`);
      const record = parsed(text);
      if (record) return record;
      log.warn({ path }, "a record that is not whole is removed");
      await this.#unlink(path);
    } catch (error) {
      if (errnoOf(error) !== "ENOENT") log.warn({ err: error, path }, "a record can't be read");
    }
    return undefined;
  }

  async #save(path: string, text: string): Promise<boolean> {
    const { root, fresh, fs, log, usable } = this.#options;
    if (!usable) return true;
    const from = `${fresh}/${randomUUID()}`;
    const to = `${root}/${path}`;
    try {
      await fs.writeFile(from, text);
      await fs.rename(from, to).catch(async (error: unknown) => {
        if (errnoOf(error) !== "ENOENT") throw error;
        await fs.mkdir(dirname(to));
        await fs.rename(from, to);
      });
      return true;
    } catch (error) {
      log.warn({ err: error, path }, "a record can't be written; it lasts as long as this process");
      await fs.unlink(from).catch(() => {});
      return false;
    }
  }

  async #unlink(path: string): Promise<void> {
    const { root, fs, log, usable } = this.#options;
    if (!usable) return;
    await fs.unlink(`${root}/${path}`).catch((error: unknown) => {
      if (errnoOf(error) !== "ENOENT") log.warn({ err: error, path }, "a record can't be removed");
    });
  }

  /** Removes the oldest lists of a repository when it has too many, half of them at once. */
  async #thinOut(folder: string): Promise<void> {
    const { root, fs, log, usable } = this.#options;
    if (!usable) return;
    try {
      const names = (await fs.readdir(`${root}/${folder}`)).map(({ name }) => `${folder}/${name}`);
      if (names.length <= limits.listsPerRepositoryMax) return;
      const aged = await Promise.all(
        names.map(async (path) => ({ path, writtenAt: (await fs.stat(`${root}/${path}`)).mtimeMs })),
      );
      aged.sort((a, b) => a.writtenAt - b.writtenAt);
      for (const { path } of aged.slice(0, Math.ceil(names.length / 2))) {
        this.#cache.delete(path);
        await this.#unlink(path);
      }
    } catch (error) {
      log.warn({ err: error, folder }, "old lists can't be removed");
    }
  }

  /** Folders of repositories under one of them, that one included. */
  async *#repositories(folder: string): AsyncIterable<string> {
    if (folder !== "") yield folder;
    for (const entry of await this.#entries(folder))
      if (entry.isDirectory() && !entry.name.startsWith("_"))
        yield* this.#repositories(folder === "" ? entry.name : `${folder}/${entry.name}`);
  }

  /** Paths of the records under a folder of repositories that lie in `_tags`, `_links` or `_lists`. */
  async *#files(folder: string, wanted: string, isWanted = false): AsyncIterable<string> {
    for (const entry of await this.#entries(folder)) {
      const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
      if (entry.isDirectory() && (isWanted || entry.name === wanted || !entry.name.startsWith("_")))
        yield* this.#files(path, wanted, isWanted || entry.name === wanted);
      else if (isWanted && entry.isFile()) yield path;
    }
  }

  async #entries(folder: string): Promise<Dirent[]> {
    const { root, fs, log, usable } = this.#options;
    if (!usable) return [];
    return await fs.readdir(`${root}/${folder}`).catch((error: unknown) => {
      if (errnoOf(error) !== "ENOENT") log.warn({ err: error, folder }, "records can't be listed");
      return [];
    });
  }
}

/** A record as it was written; undefined when the text is torn or something else. */
function parsed(text: string): StoredRecord | undefined {
  try {
    const record = JSON.parse(text) as Partial<StoredRecord> | null;
    const { repository, kind, name } = record?.key ?? {};
    const isWhole = typeof repository?.upstream === "string" && typeof repository.name === "string";
    if (!record?.key || !isWhole || typeof name !== "string" || !(String(kind) in recordFolders)) return undefined;
    return { key: record.key, value: record.value };
  } catch {
    return undefined;
  }
}
