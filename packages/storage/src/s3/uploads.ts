import type { BlobStore, Clock } from "@pullring/core";
import type { Digest } from "@pullring/oci";

import type { Log } from "../log.ts";
import { limits } from "./limits.ts";
import type { ObserveS3 } from "./observe.ts";
import type { PutBlobOrder } from "./put-blob.ts";
import { asS3Error } from "./s3-error.ts";

export interface UploadsOptions {
  readonly local: Pick<BlobStore, "open" | "stat">;
  readonly put: (order: PutBlobOrder) => Promise<"ok" | "present">;
  readonly isPurged: (key: string, sinceMs: number) => boolean;
  readonly onUse: (digest: Digest) => void;
  readonly clock: Clock;
  readonly log: Log;
  readonly observe: ObserveS3;
}

/** Blobs on their way to the service: a bounded queue that nobody waits for. What does not fit is dropped and counted. */
export interface Uploads {
  add(digest: Digest, how: { readonly isWrongThere: boolean }): void;
  cancel(digest: Digest): void;
  /** Nothing goes up before: what can't be proved to keep bytes must not get any. */
  start(): void;
  pending(): number;
  /** Resolves when none is pending. */
  idle(): Promise<void>;
  /** What is pending is dropped. */
  close(): Promise<void>;
}

interface Waiting {
  readonly size: number;
  readonly at: number;
  readonly isWrongThere: boolean;
}

export class UploadQueue implements Uploads {
  readonly #options: UploadsOptions;
  readonly #waiting = new Map<Digest, Waiting>();
  readonly #running = new Map<Digest, AbortController>();
  readonly #workers = new Set<Promise<void>>();
  #bytes = 0;
  #isStarted = false;
  #isClosed = false;
  #isFull = false;
  #idle = Promise.withResolvers<void>();

  constructor(options: UploadsOptions) {
    this.#options = options;
  }

  add(digest: Digest, { isWrongThere }: { readonly isWrongThere: boolean }): void {
    const { local, clock } = this.#options;
    const held = local.stat(digest);
    const before = this.#waiting.get(digest);
    if (!held || this.#isClosed || (before && before.isWrongThere === isWrongThere)) return;
    if (before) this.#take(digest);
    const isTooMuch = this.#bytes + held.size > limits.uploadBytesQueuedMax && this.#waiting.size > 0;
    if (isTooMuch || this.#waiting.size >= limits.uploadsQueuedMax) return this.#drop(digest);
    this.#isFull = false;
    this.#bytes += held.size;
    this.#waiting.set(digest, { size: held.size, at: clock.now(), isWrongThere });
    this.#work();
  }

  cancel(digest: Digest): void {
    this.#take(digest);
    this.#running.get(digest)?.abort();
    this.#settle();
  }

  start(): void {
    this.#isStarted = true;
    this.#work();
  }

  pending(): number {
    return this.#waiting.size + this.#running.size;
  }

  async idle(): Promise<void> {
    while (this.pending() > 0) await this.#idle.promise;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const left = this.pending();
    this.#waiting.forEach(() => this.#options.observe({ kind: "upload", outcome: "dropped" }));
    if (left > 0) this.#options.log.warn({ uploads: left }, "uploads to S3 are left undone");
    this.#waiting.clear();
    this.#bytes = 0;
    for (const controller of this.#running.values()) controller.abort();
    await Promise.all(this.#workers);
    this.#settle();
  }

  #take(digest: Digest): Waiting | undefined {
    const found = this.#waiting.get(digest);
    this.#waiting.delete(digest);
    this.#bytes -= found?.size ?? 0;
    return found;
  }

  #drop(digest: Digest): void {
    const { log, observe } = this.#options;
    observe({ kind: "upload", outcome: "dropped" });
    // Once for each time that it fills up.
    if (!this.#isFull) log.warn({ digest, queued: this.#waiting.size }, "the queue of uploads to S3 is full");
    this.#isFull = true;
  }

  #work(): void {
    while (this.#isStarted && this.#workers.size < limits.uploadsAtOnceMax && this.#next() !== undefined) {
      const worker = this.#run().finally(() => {
        this.#workers.delete(worker);
        this.#settle();
        this.#work();
      });
      this.#workers.add(worker);
    }
  }

  /** One digest is never sent twice at the same time. */
  #next(): Digest | undefined {
    for (const digest of this.#waiting.keys()) if (!this.#running.has(digest)) return digest;
    return undefined;
  }

  async #run(): Promise<void> {
    for (let digest = this.#next(); digest !== undefined; digest = this.#next()) {
      const waiting = this.#take(digest);
      const controller = new AbortController();
      this.#running.set(digest, controller);
      try {
        if (waiting) await this.#upload(digest, waiting, controller.signal);
      } finally {
        this.#running.delete(digest);
      }
    }
  }

  async #upload(digest: Digest, { at, isWrongThere }: Waiting, signal: AbortSignal): Promise<void> {
    const { local, put, isPurged, onUse, observe, log } = this.#options;
    if (isPurged(digest, at)) return;
    const blob = await local.open(digest).catch(() => undefined);
    if (!blob) return observe({ kind: "upload", outcome: "dropped" });
    try {
      const isReplacing: PutBlobOrder["isReplacing"] = (there) => isWrongThere || isPurged(digest, there.at);
      const outcome = await put({ digest, blob, at, isReplacing, signal });
      onUse(digest);
      observe({ kind: "upload", outcome });
    } catch (error) {
      observe({ kind: "upload", outcome: signal.aborted ? "dropped" : "failed" });
      if (!signal.aborted) log.warn({ digest, err: asS3Error(error) }, "a blob can't be stored in S3");
    } finally {
      blob.body.close();
    }
  }

  #settle(): void {
    if (this.pending() > 0) return;
    this.#idle.resolve();
    this.#idle = Promise.withResolvers();
  }
}
