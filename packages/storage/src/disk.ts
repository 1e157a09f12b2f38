import { createHash, randomUUID } from "node:crypto";

import { PullringError, type Access, type BlobStore, type Clock, type Spool, type StoredBlob } from "@pullring/core";
import type { SpoolOptions, StoredBytes } from "@pullring/core";
import { algorithmOf, hexOf, type Digest } from "@pullring/oci";

import { makeBlobIndex, type BlobEntry } from "./blob-index.ts";
import { errnoOf, isExhausted, isFull, nodeFs, type Fs } from "./fs.ts";
import { makeHashing, type Hashing } from "./hashing.ts";
import { makeKeyedQueue } from "./keyed-queue.ts";
import { layoutUnder, prepare, scan, type Layout } from "./layout.ts";
import { limits } from "./limits.ts";
import type { Log } from "./log.ts";
import { makeOpenFiles, type OpenFiles } from "./open-files.ts";
import { scrub } from "./scrub.ts";
import type { SharedFile } from "./shared-file.ts";
import { makeSpace, type Space } from "./space.ts";
import { openSpoolFile, type PublishFacts, type SpoolFile } from "./spool-file.ts";
import { makeSlabs } from "./slabs.ts";
import { DiskSpool } from "./spool.ts";

export interface DiskOptions {
  readonly path: string;
  /** Of blobs and growing spools together. */
  readonly sizeBytesMax: number;
  readonly log: Log;
  readonly clock: Clock;
  readonly isPinned: (digest: Digest) => boolean;
  /** A blob had to make room. */
  readonly onEvict?: (digest: Digest, size: number) => void;
  /** What lies under a digest's path is not what it was: removed. */
  readonly onMismatch?: (digest: Digest, detail: string) => void;
  readonly fs?: Fs;
  readonly hashing?: Hashing;
}

export interface Disk extends BlobStore {
  /** Why nothing is kept, when nothing is: then every blob is a miss and every fill streams through memory. */
  readonly diskless: string | undefined;
  bytes(): number;
  objects(): number;
  /** The bytes of a small one for whoever only looks: no use of it, not hashed. undefined = not held, larger, or can't be read. */
  peek(digest: Digest): Promise<Buffer | undefined>;
  /** Ends the hash threads and closes what nobody reads. Fills must have ended. */
  close(): Promise<void>;
}

/** Opens what is there and rebuilds the index. A path that can't be used means running without a disk, not failing to start. */
export async function openDisk(options: DiskOptions): Promise<Disk> {
  const { path, log, fs = nodeFs, hashing = makeHashing() } = options;
  try {
    await prepare(fs, path, log);
    const blobs = await scan(fs, path, log);
    const store = new DiskStore({ ...options, fs, hashing });
    for (const { digest, size, access, usedAt } of blobs)
      store.index.put(digest, { size, access, touchedAt: usedAt, verifiedAt: -Infinity });
    store.startScrub();
    log.info({ path, blobs: blobs.length, bytes: store.index.bytes }, "the disk is open");
    return store;
  } catch (error) {
    log.warn({ reason: String(error), path }, "the disk can't be used: running without one");
    return disklessStore({ ...options, hashing }, error);
  }
}

function disklessStore({ hashing, clock, log }: DiskOptions & { hashing: Hashing }, cause: unknown): Disk {
  const slabs = makeSlabs();
  return {
    diskless: errnoOf(cause) ?? String(cause),
    open: () => Promise.resolve(undefined),
    read: () => Promise.resolve(undefined),
    stat: () => undefined,
    peek: () => Promise.resolve(undefined),
    remove: () => Promise.resolve(),
    spool: (digest, { onGrow }) =>
      Promise.resolve(new DiskSpool({ digest, onGrow, file: undefined, hashing, slabs, clock, log })),
    bytes: () => 0,
    objects: () => 0,
    close: () => hashing.close(),
  };
}

class DiskStore implements Disk {
  readonly diskless = undefined;
  readonly index = makeBlobIndex();
  readonly #options: DiskOptions & { readonly fs: Fs; readonly hashing: Hashing };
  readonly #layout: Layout;
  readonly #files: OpenFiles;
  readonly #slabs = makeSlabs();
  readonly #space: Space;
  /** Publishing and removing one digest must not cross. */
  readonly #inTurn = makeKeyedQueue();
  readonly #running = new Set<Promise<void>>();
  readonly #closing = new AbortController();

  constructor(options: DiskOptions & { readonly fs: Fs; readonly hashing: Hashing }) {
    const { index } = this;
    const { path, fs, sizeBytesMax, isPinned } = options;
    this.#options = options;
    this.#layout = layoutUnder(path);
    this.#files = makeOpenFiles({ fs, pathOf: (digest) => this.#layout.blob(digest) });
    const onEvicted = (digest: Digest, size: number): Promise<void> => this.#onEvicted(digest, size);
    this.#space = makeSpace({ index, sizeBytesMax, isPinned, onEvicted });
  }

  startScrub(): void {
    const { fs, clock, hashing } = this.#options;
    const { signal } = this.#closing;
    const pathOf = (digest: Digest): string => this.#layout.blob(digest);
    const blobs = () => this.index.entries();
    const onRotten = (digest: Digest, entry: BlobEntry, error: Error): void => this.#dropLost(digest, entry, error);
    this.#track(scrub({ fs, clock, hashing, pathOf, blobs, onRotten, signal }));
  }

  bytes(): number {
    return this.#space.bytes;
  }

  objects(): number {
    return this.index.objects;
  }

  stat(digest: Digest): BlobEntry | undefined {
    return this.index.get(digest);
  }

  async open(digest: Digest): Promise<StoredBlob | undefined> {
    const held = await this.#hold(digest);
    if (!held) return undefined;
    const { file, entry } = held;
    let open = true;
    const body = {
      size: entry.size,
      next: (offset: number, end: number) => ({ fd: file.fd, position: offset, length: end - offset }),
      close: () => {
        if (open) file.release();
        open = false;
      },
    };
    return { access: entry.access, tier: "disk", body };
  }

  async read(digest: Digest): Promise<StoredBytes | undefined> {
    if ((this.index.get(digest)?.size ?? Infinity) > limits.readBytesMax) return undefined;
    const held = await this.#hold(digest);
    if (!held) return undefined;
    const { file, entry } = held;
    try {
      const bytes = await this.#readWhole(file, entry.size);
      const found = createHash(algorithmOf(digest)).update(bytes).digest("hex");
      if (found !== hexOf(digest)) throw new Error(`the bytes hash to ${found}`);
      return { access: entry.access, tier: "disk", bytes };
    } catch (error) {
      this.#dropLost(digest, entry, error);
      return undefined;
    } finally {
      file.release();
    }
  }

  async peek(digest: Digest): Promise<Buffer | undefined> {
    const { size = Infinity } = this.index.get(digest) ?? {};
    if (size > limits.readBytesMax) return undefined;
    // Whoever opens it for use finds out what is wrong with it.
    const file = await this.#files.open(digest, size).catch(() => undefined);
    try {
      return file && (await this.#readWhole(file, size));
    } catch {
      return undefined;
    } finally {
      file?.release();
    }
  }

  async spool(digest: Digest, { onGrow }: SpoolOptions): Promise<Spool> {
    const { hashing, clock, log } = this.#options;
    const file = await this.#openSpoolFile(digest).catch((error: unknown) => {
      log.warn({ err: error, digest }, "no spool can be made on the disk; this fill goes through memory");
      return undefined;
    });
    return new DiskSpool({ digest, onGrow, file, hashing, slabs: this.#slabs, clock, log });
  }

  async remove(digest: Digest): Promise<void> {
    await this.#inTurn(digest, async () => {
      this.index.delete(digest);
      this.#files.forget(digest);
      await this.#unlink(digest);
    });
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all(this.#running);
    this.#files.closeIdle();
    await this.#options.hashing.close();
  }

  /** Opens the blob's file for one reader. What can't be read as it was leaves the index: it is a miss from then on. */
  async #hold(digest: Digest): Promise<{ file: SharedFile; entry: BlobEntry } | undefined> {
    const entry = this.index.get(digest);
    if (!entry) return undefined;
    try {
      const file = await this.#files.open(digest, entry.size);
      if (this.index.get(digest) === entry) this.#touch(digest, entry);
      return { file, entry };
    } catch (error) {
      if (isExhausted(error)) throw new PullringError("busy", "too many files are open", { cause: error });
      this.#dropLost(digest, entry, error);
      return undefined;
    }
  }

  #touch(digest: Digest, entry: BlobEntry): void {
    const { clock, fs } = this.#options;
    this.index.use(digest);
    const now = clock.now();
    if (now - entry.touchedAt < limits.touchIntervalMs) return;
    entry.touchedAt = now;
    // Only the order after a restart hangs on it.
    this.#track(fs.utimes(this.#layout.blob(digest), now / 1000).catch(() => {}));
  }

  async #readWhole(file: SharedFile, size: number): Promise<Buffer> {
    const bytes = Buffer.allocUnsafeSlow(size);
    let length = 0;
    while (length < size) {
      const read = await this.#options.fs.read(file.fd, bytes.subarray(length), length);
      if (read === 0) throw new Error(`the file ends at ${length} of ${size} bytes`);
      length += read;
    }
    return bytes;
  }

  #dropLost(digest: Digest, entry: BlobEntry, error: unknown): void {
    const { log, onMismatch } = this.#options;
    if (this.index.get(digest) !== entry) return;
    this.index.delete(digest);
    this.#files.forget(digest);
    log.warn({ err: error, digest }, "a blob on the disk is not what it was; it is removed");
    // An error without a code is a finding of ours: wrong size or wrong bytes.
    if (errnoOf(error) === undefined) onMismatch?.(digest, String(error));
    this.#track(this.#removeFiles(digest));
  }

  async #onEvicted(digest: Digest, size: number): Promise<void> {
    this.#files.forget(digest);
    this.#options.onEvict?.(digest, size);
    const removed = this.#removeFiles(digest);
    this.#track(removed);
    await removed;
  }

  /** For a blob that has left the index; if it came back meanwhile, its new file stays. */
  #removeFiles(digest: Digest): Promise<void> {
    return this.#inTurn(digest, async () => {
      if (!this.index.get(digest)) await this.#unlink(digest);
    });
  }

  async #unlink(digest: Digest): Promise<void> {
    const { fs, log } = this.#options;
    for (const path of [this.#layout.marker(digest), this.#layout.blob(digest)]) {
      await fs.unlink(path).catch((error: unknown) => {
        if (errnoOf(error) !== "ENOENT") log.warn({ err: error, path }, "a file could not be removed");
      });
    }
  }

  async #openSpoolFile(digest: Digest): Promise<SpoolFile> {
    const { fs, log } = this.#options;
    const publish = (file: SharedFile, facts: PublishFacts): Promise<boolean> =>
      this.#inTurn(digest, () => this.#publish(digest, file, facts));
    const open = (): Promise<SpoolFile> =>
      openSpoolFile({ fs, path: this.#layout.spool(randomUUID()), space: this.#space, log, publish });
    try {
      return await open();
    } catch (error) {
      if (isExhausted(error)) this.#files.closeIdle();
      else if (isFull(error)) await this.#space.makeRoom(0);
      else throw error;
      return await open();
    }
  }

  /** After a crash at any point here there is a whole verified blob at the final path, or none. */
  async #publish(digest: Digest, file: SharedFile, { path, size, access, onKept }: PublishFacts): Promise<boolean> {
    const { fs, log, clock } = this.#options;
    try {
      await fs.fsync(file.fd);
      const marked = await this.#mark(digest, access);
      await fs.rename(path, this.#layout.blob(digest));
      this.index.put(digest, { size, access: marked, touchedAt: clock.now(), verifiedAt: clock.monotonic() });
      onKept();
      this.#files.adopt(digest, file);
    } catch (error) {
      log.warn({ err: error, digest }, "a verified blob could not be kept");
      return false;
    }
    await this.#syncFolder(this.#layout.blobFolder(digest));
    return true;
  }

  /** Settles what the access will be after a restart. What was public once stays so: anybody could have had these bytes. */
  async #mark(digest: Digest, access: Access): Promise<Access> {
    const { fs, log } = this.#options;
    const marker = this.#layout.marker(digest);
    if (this.index.get(digest)?.access === "public") return "public";
    if (access === "linked") {
      // A marker that an eviction could not remove would make an account's bytes public at the next start.
      await fs.unlink(marker).catch((error: unknown) => {
        if (errnoOf(error) !== "ENOENT") throw error;
      });
      return "linked";
    }
    return await fs.writeFile(marker, "").then(
      () => "public",
      (error: unknown) => {
        log.warn({ err: error, digest }, "a blob could not be marked as public; links decide about it");
        return "linked";
      },
    );
  }

  async #syncFolder(folder: string): Promise<void> {
    const { fs, log } = this.#options;
    try {
      const fd = await fs.open(folder, "r");
      try {
        await fs.fsync(fd);
      } finally {
        await fs.close(fd);
      }
    } catch (error) {
      // The bytes are right; at worst a power cut forgets them.
      log.warn({ err: error, folder }, "a folder could not be synced");
    }
  }

  /** Work that nobody waits for but `close`. */
  #track(running: Promise<void>): void {
    const done = running
      .catch((error: unknown) => this.#options.log.warn({ err: error }, "work on the disk failed"))
      .finally(() => this.#running.delete(done));
    this.#running.add(done);
  }
}
