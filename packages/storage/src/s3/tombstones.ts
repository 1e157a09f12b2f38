import type { Clock } from "@pullring/core";

import type { Log } from "../log.ts";
import type { Keys } from "./keys.ts";
import { limits } from "./limits.ts";
import type { Objects } from "./objects.ts";
import { asS3Error } from "./s3-error.ts";
import type { WriteQueue } from "./write-queue.ts";

export interface Tombstone {
  /** What was purged, in the words of whoever purged it. */
  readonly key: string;
  readonly atMs: number;
}

export interface S3TombstonesOptions {
  readonly keys: Keys;
  readonly objects: Objects;
  readonly queue: WriteQueue;
  readonly clock: Clock;
  readonly log: Log;
  readonly onTombstone: (tombstone: Tombstone) => void;
}

/** What was purged within the last seven days, so that it does not come back from a node that was away. */
export class S3Tombstones {
  readonly #options: S3TombstonesOptions;
  readonly #times = new Map<string, number>();
  /** By object: what of it has been read. */
  readonly #read = new Map<string, string>();

  constructor(options: S3TombstonesOptions) {
    this.#options = options;
  }

  put(key: string, atMs: number): void {
    const { keys, objects, queue } = this.#options;
    const newestMs = Math.max(atMs, this.#times.get(key) ?? 0);
    this.#remember({ key, atMs: newestMs });
    const path = keys.tombstone(key);
    const text = JSON.stringify({ key, atMs: newestMs });
    queue.add(path, () => objects.write(path, text, patient));
  }

  isPurged(key: string, sinceMs: number): boolean {
    return sinceMs <= (this.#times.get(key) ?? -1);
  }

  /** Reads what others have left. */
  async read(): Promise<readonly Tombstone[]> {
    const { keys, objects, clock, onTombstone } = this.#options;
    const oldestMs = clock.now() - limits.tombstoneMs;
    for await (const { key: path, tag } of objects.list(keys.tombstones)) {
      if (this.#read.get(path) === tag) continue;
      const found = parsed(await objects.read(path));
      this.#read.set(path, tag);
      if (!found || found.atMs < oldestMs || (this.#times.get(found.key) ?? -1) >= found.atMs) continue;
      this.#remember(found);
      onTombstone(found);
    }
    this.#forgetBefore(oldestMs);
    return [...this.#times].map(([key, atMs]) => ({ key, atMs }));
  }

  /** Reads again and again, as long as the signal lasts. */
  async follow(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    for (;;) {
      await this.read().catch((error: unknown) => {
        signal.throwIfAborted();
        log.warn({ err: asS3Error(error) }, "tombstones in S3 can't be read");
      });
      await clock.sleep(limits.tombstonesReadEveryMs, signal);
    }
  }

  /** Removes those that are over, for all nodes. */
  async removeOld(): Promise<void> {
    const { keys, objects, clock } = this.#options;
    const oldestMs = clock.now() - limits.tombstoneMs;
    for await (const { key: path } of objects.list(keys.tombstones)) {
      const found = parsed(await objects.read(path));
      if (found && found.atMs < oldestMs) await objects.remove(path);
    }
  }

  #remember({ key, atMs }: Tombstone): void {
    this.#times.delete(key);
    this.#times.set(key, atMs);
    const oldest = this.#times.size > limits.tombstonesMax ? this.#times.keys().next() : undefined;
    if (oldest && !oldest.done) this.#times.delete(oldest.value);
  }

  #forgetBefore(oldestMs: number): void {
    for (const [key, atMs] of this.#times) if (atMs < oldestMs) this.#times.delete(key);
  }
}

const patient = { withinMs: limits.answerMs, attemptsMax: limits.writeAttemptsMax, isPatient: true } as const;

function parsed(text: Buffer | undefined): Tombstone | undefined {
  try {
    const { key, atMs } = JSON.parse(String(text)) as Partial<Tombstone>;
    return typeof key === "string" && typeof atMs === "number" ? { key, atMs } : undefined;
  } catch {
    return undefined;
  }
}
