import { PullringError, type Access, type Clock, type Segment, type Spool, type SpoolReader } from "@pullring/core";
import { algorithmOf, type Digest } from "@pullring/oci";

import { makeByteWindow, type ByteWindow } from "./byte-window.ts";
import type { Hashing } from "./hashing.ts";
import { limits } from "./limits.ts";
import type { Log } from "./log.ts";
import { makeSignal } from "./signal.ts";
import type { Slabs } from "./slabs.ts";
import type { SpoolFile } from "./spool-file.ts";
import { makeSpoolHash, type SpoolHash } from "./spool-hash.ts";

export interface DiskSpoolOptions {
  readonly digest: Digest;
  readonly onGrow: () => void;
  /** Without a file the spool keeps a window in memory from its first byte on. */
  readonly file: SpoolFile | undefined;
  readonly hashing: Hashing;
  readonly slabs: Slabs;
  readonly clock: Clock;
  readonly log: Log;
}

interface Reader {
  offset: number;
  movedAt: number;
  /** It stood still while others waited, and gets no more bytes. */
  abandoned: boolean;
  holdsFile: boolean;
}

/**
 * Bytes gather in `#tail` while a write runs, then go out in one. What is in the file can be read, what is in the tail can't yet.
 * When the disk refuses, the spool leaves the file where it is: the tail then is the window, readable at once and bounded, and the
 * writer waits for the slowest reader. Bytes [#fileStart, #fileEnd) stay readable in the file while the window still begins at #fileEnd.
 * Bytes that only pass begin in the window, and go on in the file, from what the window holds then, as soon as that does not do.
 */
export class DiskSpool implements Spool {
  readonly #options: DiskSpoolOptions;
  readonly #hash: SpoolHash;
  readonly #tail: ByteWindow;
  readonly #readers = new Set<Reader>();
  /** A write has ended, a reader has moved or left, or the spool was settled. */
  readonly #moved = makeSignal();
  #fileStart = 0;
  #fileEnd = 0;
  #onDisk: boolean;
  #isPassing = false;
  /** Since the writer was held back first. */
  #patience: { readonly timer: AbortController; isOver: boolean } | undefined;
  #spilling: Promise<void> | undefined;
  readonly #own: { holdsFile: boolean };
  #broken = false;
  #settled: Promise<boolean> | undefined;
  #writing: Promise<void> | undefined;

  constructor(options: DiskSpoolOptions) {
    const { digest, hashing, slabs, file } = options;
    this.#options = options;
    this.#tail = makeByteWindow(slabs);
    if (!file) this.#tail.lend();
    this.#onDisk = file !== undefined;
    this.#own = { holdsFile: file !== undefined };
    const onRead = (): void => this.#moved.fire();
    this.#hash = makeSpoolHash({ algorithm: algorithmOf(digest), hashing, file: file?.shared, onRead });
  }

  /** Also above 0 when the file can't be read any more: it was let go, or did not give back what was written. */
  get start(): number {
    if (this.#broken) return this.end;
    if (this.#isPassing) return this.#tail.start;
    const isFileLost = this.#options.file?.shared.closed ?? false;
    if (this.#onDisk) return isFileLost ? this.end : this.#fileStart;
    const isInFile = this.#tail.start === this.#fileEnd && (this.#fileEnd === 0 || !isFileLost);
    return isInFile ? this.#fileStart : this.#tail.start;
  }

  get end(): number {
    return this.#onDisk ? this.#fileEnd : this.#tail.end;
  }

  pass(): void {
    if (!this.#options.file || this.#tail.end > 0) return;
    this.#isPassing = true;
    this.#onDisk = false;
  }

  append(chunk: Uint8Array): void | Promise<void> {
    if (this.#settled || chunk.length === 0) return undefined;
    if (this.#isPassing) return this.#passOn(chunk);
    const hashed = this.#hash.take(chunk);
    this.#tail.push(chunk);
    const { file, onGrow } = this.#options;
    if (file && this.#onDisk) {
      this.#writing ??= this.#write(file);
      return this.#pending > limits.pendingBytesMax ? this.#untilWritten() : undefined;
    }
    onGrow();
    this.#trim();
    if (!hashed && this.#pending <= limits.windowBytesMax) return undefined;
    return this.#untilRead(hashed);
  }

  async finish(): Promise<Digest> {
    const { digest } = this.#options;
    await this.#spilling;
    await this.#writing;
    if (this.#isPassing) this.#hash.passBy(this.#tail, 1);
    try {
      return `${algorithmOf(digest)}:${await this.#hash.finish()}` as Digest;
    } catch (error) {
      this.#broken = true;
      throw new PullringError("cut", "the bytes could not be read back to verify them", { cause: error });
    }
  }

  settle(outcome: { readonly keep: Access } | "drop"): Promise<boolean> {
    this.#settled ??= this.#settle(outcome);
    this.#moved.fire();
    return this.#settled;
  }

  reader(offset: number): SpoolReader {
    if (offset < this.start) throw new RangeError(`byte ${offset} is gone: the first one here is ${this.start}`);
    const reader: Reader = {
      offset,
      movedAt: this.#options.clock.monotonic(),
      abandoned: false,
      holdsFile: this.#options.file?.shared.hold() ?? false,
    };
    // One may be slower than the other, and who comes later still is to find the first bytes.
    if (this.#readers.size > 0) this.#spill();
    this.#readers.add(reader);
    return {
      keepBehind: () => this.#spill(),
      skip: (to) => this.#move(reader, to),
      segment: (at, lengthMax) => this.#segment(reader, at, lengthMax),
      close: () => {
        if (!this.#readers.delete(reader)) return;
        this.#letFileGo(reader);
        this.#moved.fire();
      },
    };
  }

  /** Bytes appended and not yet written; without a disk, bytes in the window. */
  get #pending(): number {
    return this.#tail.end - this.#tail.start;
  }

  /** Bytes below are wanted in memory no more. */
  get #passed(): number {
    return Math.min(this.#hash.passing.read, this.#slowest()?.offset ?? Infinity);
  }

  #passOn(chunk: Uint8Array): Promise<void> | undefined {
    this.#tail.push(chunk);
    this.#hash.passBy(this.#tail, limits.hashStepBytes);
    this.#options.onGrow();
    this.#trim();
    const isFull = this.#tail.end - this.#passed > limits.passedBytesMax;
    return this.#spilling ?? (isFull ? this.#untilPassed() : undefined);
  }

  /** Holds the writer back to the pace of its reader, so that the bytes wait where they come from, but not for long. */
  async #untilPassed(): Promise<void> {
    this.#patience ??= this.#beginPatience();
    while (this.#isPassing && !this.#settled && this.#tail.end - this.#passed > limits.passedBytesLow) {
      if (this.#patience.isOver) this.#spill();
      await (this.#spilling ?? this.#moved.next());
    }
    this.#trim();
  }

  #beginPatience(): { readonly timer: AbortController; isOver: boolean } {
    const patience = { timer: new AbortController(), isOver: false };
    const end = (): void => {
      patience.isOver = true;
      this.#moved.fire();
    };
    this.#options.clock.sleep(limits.passMs, patience.timer.signal).then(end, () => {});
    return patience;
  }

  /** What only passed goes by the disk from here on. */
  #spill(): void {
    const { file } = this.#options;
    if (!this.#isPassing || !file || this.#settled) return;
    this.#spilling ??= this.#moveToFile(file).finally(() => (this.#spilling = undefined));
  }

  /** Readers go on in the window until all of it is in the file. */
  async #moveToFile(file: SpoolFile): Promise<void> {
    const start = this.#tail.start;
    let written = start;
    try {
      while (written < this.#tail.end && !this.#settled) {
        const chunks = this.#tail.first(limits.batchBytesMax, written);
        await file.write(chunks, written);
        for (const { length } of chunks) written += length;
      }
    } catch (error) {
      return this.#leaveDisk(file, error);
    }
    if (this.#settled) return;
    this.#hash.passBy(this.#tail, 1);
    this.#isPassing = false;
    this.#onDisk = true;
    this.#fileStart = start;
    this.#fileEnd = written;
    this.#tail.leave();
    this.#moved.fire();
  }

  /** Runs as long as there is something to write. */
  async #write(file: SpoolFile): Promise<void> {
    while (this.#pending > 0 && !this.#settled) {
      const chunks = this.#tail.first(limits.batchBytesMax);
      try {
        await file.write(chunks, this.#fileEnd);
      } catch (error) {
        this.#leaveDisk(file, error);
        break;
      }
      for (const { length } of chunks) this.#fileEnd += length;
      this.#tail.dropTo(this.#fileEnd);
      this.#hash.follow(this.#fileEnd);
      this.#moved.fire();
      this.#options.onGrow();
    }
    this.#writing = undefined;
  }

  #leaveDisk(file: SpoolFile, error: unknown): void {
    const { digest, log, onGrow } = this.#options;
    log.warn({ err: error, digest, written: this.#fileEnd }, "the disk refuses a write; this fill goes on in memory");
    this.#onDisk = false;
    this.#isPassing = false;
    this.#tail.lend();
    this.#hash.leaveFile(this.#tail.first(Infinity, Math.max(this.#tail.start, this.#hash.passing.told)));
    void file.discard();
    this.#moved.fire();
    onGrow();
  }

  async #untilWritten(): Promise<void> {
    while (this.#onDisk && !this.#settled && this.#pending > limits.pendingBytesLow) await this.#moved.next();
    if (!this.#onDisk) await this.#untilRead();
  }

  /** Waits for room in the window; who stands still for too long while it is full is abandoned. */
  async #untilRead(hashed?: Promise<void>): Promise<void> {
    const { clock } = this.#options;
    await hashed;
    const since = clock.monotonic();
    for (;;) {
      this.#trim();
      const slowest = this.#pending > limits.windowBytesMax && !this.#settled ? this.#slowest() : undefined;
      if (!slowest) return;
      const patienceMs = Math.max(since, slowest.movedAt) + limits.readerPatienceMs - clock.monotonic();
      if (patienceMs > 0) await this.#untilMoved(patienceMs);
      else slowest.abandoned = true;
    }
  }

  async #untilMoved(patienceMs: number): Promise<void> {
    const timer = new AbortController();
    const elapsed = this.#options.clock.sleep(patienceMs, timer.signal).catch(() => {});
    await Promise.race([this.#moved.next(), elapsed]);
    timer.abort();
  }

  #slowest(): Reader | undefined {
    let slowest: Reader | undefined;
    for (const reader of this.#readers) {
      if (!reader.abandoned && reader.offset < (slowest?.offset ?? Infinity)) slowest = reader;
    }
    return slowest;
  }

  #trim(): void {
    if (this.#spilling) return;
    // Once the first bytes are gone nobody joins, and what was read is of no use.
    const readBytesMax = this.#tail.start === 0 ? limits.passedBytesMax : 0;
    if (this.#isPassing) return this.#tail.shrink(readBytesMax, this.#passed);
    this.#tail.shrink(limits.windowBytesMax, this.#slowest()?.offset ?? Infinity);
    // All who still read are past the file, and nobody can begin there: its room on the disk is wanted.
    if (this.#tail.start > this.#fileEnd) this.#letFileGo();
  }

  #move(reader: Reader, offset: number): void {
    if (offset <= reader.offset) return;
    reader.offset = offset;
    reader.movedAt = this.#options.clock.monotonic();
    if (!this.#onDisk) this.#moved.fire();
  }

  #segment(reader: Reader, offset: number, lengthMax: number): Segment {
    const { file } = this.#options;
    if (reader.abandoned) throw new PullringError("cut", "this reader was too slow for a spool without a disk");
    this.#move(reader, offset);
    if (file && reader.holdsFile && offset < this.#fileEnd) {
      const length = Math.min(lengthMax, this.#fileEnd - offset, limits.segmentBytesMax);
      return { fd: file.shared.fd, position: offset, length };
    }
    if (this.#onDisk) throw new RangeError(`byte ${offset} has not come yet: only ${this.#fileEnd} are here`);
    if (!this.#isPassing) this.#letFileGo(reader);
    return { bytes: this.#tail.at(offset, lengthMax) };
  }

  async #settle(outcome: { readonly keep: Access } | "drop"): Promise<boolean> {
    const { file } = this.#options;
    const writing = this.#writing;
    const spilling = this.#spilling;
    this.#patience?.timer.abort();
    this.#hash.drop();
    if (!file || outcome === "drop" || !this.#onDisk || this.#fileStart > 0) {
      await file?.discard();
      await writing;
      await spilling;
      this.#letFileGo();
      return false;
    }
    const kept = await file.publish(this.#fileEnd, outcome.keep);
    this.#letFileGo();
    return kept;
  }

  #letFileGo(holder: { holdsFile: boolean } = this.#own): void {
    if (holder.holdsFile) this.#options.file?.shared.release();
    holder.holdsFile = false;
  }
}
