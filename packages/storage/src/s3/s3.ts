import { randomUUID } from "node:crypto";

import { HeadObjectCommand } from "@aws-sdk/client-s3";
import type { BlobStore, Clock, Repository, SharedBlobs } from "@pullring/core";
import type { Digest } from "@pullring/oci";

import type { Log } from "../log.ts";
import { CorruptingError, runCanary } from "./canary.ts";
import type { Capabilities } from "./capabilities.ts";
import { makeClient, type Client, type ClientOptions } from "./client.ts";
import { makeExchange, once, type Exchange } from "./exchange.ts";
import { makeGate, type Gate } from "./gate.ts";
import { keysUnder, type Keys } from "./keys.ts";
import { limits } from "./limits.ts";
import { absent, makeObjects, type Objects } from "./objects.ts";
import type { ObserveS3 } from "./observe.ts";
import { putBlob } from "./put-blob.ts";
import { removeRecords } from "./remove-records.ts";
import { makeS3Records, type S3Records } from "./records.ts";
import { makeRetryBudget } from "./retry-budget.ts";
import { asS3Error, isKind } from "./s3-error.ts";
import { makeSharedBlobs } from "./shared-blobs.ts";
import { makeSlots } from "./slots.ts";
import type { Usage } from "./sweep.ts";
import { Sweeps, type Exclusively } from "./sweeps.ts";
import { S3Tombstones, type Tombstone } from "./tombstones.ts";
import { UploadQueue } from "./uploads.ts";
import { makeUsed } from "./used.ts";
import { makeWriteQueue } from "./write-queue.ts";

export interface S3Options extends ClientOptions {
  readonly bucket: string;
  /** Begins every object's name; "" for none. */
  readonly prefix: string;
  /** What nobody asked for in so long is removed; 0 keeps everything. */
  readonly expireMs: number;
  /** Where verified blobs are read for their upload. */
  readonly local: Pick<BlobStore, "open" | "stat">;
  /** Default: this node is alone. */
  readonly exclusively?: Exclusively;
  /** A purge that another node left word of. */
  readonly onTombstone?: (tombstone: Tombstone) => void;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly observe: ObserveS3;
}

/** The S3 tier: blobs and records that all nodes share. Nothing here ever fails a pull or holds one up for longer than 2 s. */
export interface S3 {
  readonly blobs: SharedBlobs;
  readonly records: S3Records;
  readonly tombstones: Tombstones;
  /** Removes all records of a repository that were written by then. Rejects with S3Error. */
  purgeRecords(repository: Repository, beforeMs: number): Promise<void>;
  /** What the endpoint was seen to do; undefined until it has been asked. */
  capabilities(): Capabilities | undefined;
  /** Why the tier is not all that it should be, when it is not. */
  degraded(): string | undefined;
  pendingUploads(): number;
  socketsInUse(): number;
  /** Blobs in the bucket, when this node was the last to count them. */
  usage(): Usage | undefined;
  /** A blob is in use here, wherever its bytes came from: the clean-up leaves it. */
  used(digest: Digest): void;
  /** Writes what is pending, as much as the time allows. Tells whether all of it is there now. */
  flush(deadlineMs: number): Promise<boolean>;
  /** Both rounds of house-keeping, now. */
  sweep(): Promise<void>;
  close(): Promise<void>;
}

export interface Tombstones {
  /** Leaves word of a purge, for seven days and every node. */
  put(key: string, atMs: number): void;
  isPurged(key: string, sinceMs: number): boolean;
  /** All that are there now. */
  read(): Promise<readonly Tombstone[]>;
}

/** Opens the tier without asking the service anything yet: whether it can be trusted is found out in the background. */
export function openS3(options: S3Options): Promise<S3> {
  return Promise.resolve(new Tier(options));
}

/** What is known of the service. */
type Health =
  | { readonly state: "unknown"; readonly reason: string }
  | { readonly state: "proved"; readonly capabilities: Capabilities }
  | { readonly state: "corrupting"; readonly reason: string };

class Tier implements S3 {
  readonly blobs: SharedBlobs;
  readonly records: S3Records;
  readonly tombstones: S3Tombstones;
  readonly #options: S3Options;
  readonly #client: Client;
  readonly #keys: Keys;
  readonly #gate: Gate;
  readonly #exchange: Exchange;
  readonly #objects: Objects;
  readonly #uploads: UploadQueue;
  readonly #used;
  readonly #queue;
  readonly #sweeps: Sweeps;
  readonly #closing = new AbortController();
  readonly #loops: Promise<unknown>;
  #trial: Promise<unknown> = Promise.resolve();
  #health: Health = { state: "unknown", reason: "S3 has not answered yet" };

  constructor(options: S3Options) {
    const { bucket, clock, random, log, observe, local } = options;
    const { signal } = this.#closing;
    this.#options = options;
    this.#client = makeClient(options);
    const { s3 } = this.#client;
    const keys = (this.#keys = keysUnder(options.prefix));
    this.#gate = makeGate({ clock, signal, probe: () => this.#probe(), onTurn: (reason) => this.#onTurn(reason) });
    const budget = makeRetryBudget(clock);
    const exchange = (this.#exchange = makeExchange({ s3, gate: this.#gate, budget, clock, random, signal }));
    const objects = (this.#objects = makeObjects(exchange, bucket, clock));
    const queue = (this.#queue = makeWriteQueue(log));
    const onTombstone = options.onTombstone ?? ((): void => {});
    this.tombstones = new S3Tombstones({ keys, objects, queue, clock, log, onTombstone });
    this.#used = makeUsed({ keys, objects, clock });
    const isPurged = (key: string, sinceMs: number): boolean => this.tombstones.isPurged(key, sinceMs);
    const onUse = (digest: Digest): void => this.used(digest);
    const parts = { bucket, keys, exchange, objects, clock, log };
    const sending = makeSlots(limits.sendingMax);
    const put = { ...parts, sending, capabilities: () => this.capabilities() ?? cautious };
    const common = { isPurged, onUse, clock, log, observe };
    this.#uploads = new UploadQueue({ ...common, local, put: (order) => putBlob(put, order) });
    this.blobs = makeSharedBlobs({ ...parts, ...common, uploads: this.#uploads, disabled: () => this.#disabled() });
    this.records = makeS3Records({ ...parts, queue });
    const exclusively: Exclusively = options.exclusively ?? ((_name, run) => run());
    const { tombstones } = this;
    const { expireMs } = options;
    this.#sweeps = new Sweeps({ ...parts, used: this.#used, tombstones, exclusively, random, expireMs });
    this.#loops = this.#follow(signal);
  }

  purgeRecords(repository: Repository, beforeMs: number): Promise<void> {
    this.records.forget(repository);
    return removeRecords({ keys: this.#keys, objects: this.#objects }, repository, beforeMs);
  }

  capabilities(): Capabilities | undefined {
    return this.#health.state === "proved" ? this.#health.capabilities : undefined;
  }

  degraded(): string | undefined {
    if (this.#health.state !== "proved") return this.#health.reason;
    return this.#gate.shutFor === undefined ? undefined : `S3 does not answer: ${this.#gate.shutFor}`;
  }

  pendingUploads(): number {
    return this.#uploads.pending();
  }

  socketsInUse(): number {
    return this.#client.socketsInUse();
  }

  usage(): Usage | undefined {
    return this.#sweeps.usage;
  }

  used(digest: Digest): void {
    if (this.#options.expireMs > 0) this.#used.note(digest);
  }

  async flush(deadlineMs: number): Promise<boolean> {
    const { clock } = this.#options;
    const over = new AbortController();
    const late = clock.sleep(deadlineMs, over.signal).then(
      () => false,
      () => false,
    );
    const written = Promise.all([this.#uploads.idle(), this.#queue.idle(), this.#used.flush()]).then(
      () => true,
      () => false,
    );
    return Promise.race([written, late]).finally(() => over.abort());
  }

  sweep(): Promise<void> {
    return this.#sweeps.run();
  }

  async close(): Promise<void> {
    const { clock } = this.#options;
    // Uploads and trials first, while they can still clean up behind themselves.
    const closing = Promise.all([this.#uploads.close(), this.#queue.close(), this.#trial]);
    const over = new AbortController();
    await Promise.race([closing, clock.sleep(limits.closeMs, over.signal).catch(() => {})]);
    over.abort();
    this.#closing.abort();
    await Promise.all([closing, this.#loops]);
    this.#client.close();
  }

  #disabled(): string | undefined {
    return this.#health.state === "corrupting" ? this.#health.reason : undefined;
  }

  #onTurn(shutFor: string | undefined): void {
    const { log } = this.#options;
    if (shutFor === undefined) log.info({}, "S3 answers again");
    else log.warn({ reason: shutFor }, "S3 fails and is left alone until it answers");
  }

  /** Any answer that is no failure: the object need not be there. */
  async #probe(): Promise<void> {
    const { clock, bucket } = this.#options;
    const command = new HeadObjectCommand({ Bucket: bucket, Key: `${this.#keys.canary}probe` });
    const asking = { clock, signal: this.#closing.signal, withinMs: limits.firstByteMs, discard: undefined };
    await once(this.#client.s3, (s3, abortSignal) => s3.send(command, { abortSignal }), asking)
      .catch((error: unknown) => absent(asS3Error(error)))
      .catch((error: unknown) => {
        if (!isKind(error, "refused")) throw error;
      });
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const loops = [this.#prove(signal), this.tombstones.follow(signal), this.#sweeps.follow(signal)];
    for (const outcome of await Promise.allSettled(loops))
      if (outcome.status === "rejected" && !signal.aborted)
        this.#options.log.warn({ err: outcome.reason as unknown }, "work on S3 ended");
  }

  /** Until the service has proved itself nothing is written; while it is seen to corrupt, nothing is read. */
  async #prove(signal: AbortSignal): Promise<void> {
    const { bucket, clock, log } = this.#options;
    const parts = { bucket, exchange: this.#exchange, objects: this.#objects, clock, signal };
    for (let pauseMs: number = limits.canaryRetryMs; ; pauseMs = Math.min(limits.canaryRetryMsMax, pauseMs * 2)) {
      try {
        await this.#gate.open(signal);
        const trial = runCanary({ ...parts, key: `${this.#keys.canary}${randomUUID()}` });
        this.#trial = trial.catch(() => {});
        const capabilities = await trial;
        this.#health = { state: "proved", capabilities };
        log.info({ bucket, ...capabilities }, "S3 is in use");
        this.#uploads.start();
        this.#queue.start();
        return;
      } catch (error) {
        signal.throwIfAborted();
        const reason = reasonOf(error);
        if (reason !== this.degraded()) log.warn({ bucket, reason }, "S3 is not in use");
        this.#health = { state: error instanceof CorruptingError ? "corrupting" : "unknown", reason };
      }
      await clock.sleep(pauseMs, signal);
    }
  }
}

/** Until the service has been seen at work. Nothing is uploaded then. */
const cautious: Capabilities = {
  ranges: true,
  conditionalPut: "ignored",
  multipart: true,
  conditionalComplete: "ignored",
};

function reasonOf(error: unknown): string {
  if (error instanceof CorruptingError) return `S3 is not used: ${error.message}`;
  if (isKind(error, "refused")) return `S3 refuses: ${error.message}`;
  return `S3 does not answer: ${asS3Error(error).message}`;
}
