import {
  makeRecent,
  repositoryKey,
  type Clock,
  type RecordKey,
  type RecordStore,
  type Repository,
} from "@pullring/core";

import { recordPath } from "../record-path.ts";
import type { Log } from "../log.ts";
import type { Keys } from "./keys.ts";
import { limits } from "./limits.ts";
import type { Objects } from "./objects.ts";
import { formatRecord, parseRecord } from "./record-text.ts";
import { isKind } from "./s3-error.ts";
import type { WriteQueue } from "./write-queue.ts";
import { makeWritten } from "./written.ts";

export interface S3RecordsOptions {
  readonly keys: Keys;
  readonly objects: Objects;
  readonly queue: WriteQueue;
  readonly clock: Clock;
  readonly log: Log;
}

export interface S3Records extends RecordStore {
  /** What is known here of a repository's records is not true any more: another node has removed them. */
  forget(repository: Repository): void;
}

interface Pending {
  readonly key: RecordKey;
  /** undefined: it is to go. */
  readonly text: string | undefined;
}

interface Aging {
  readonly checkedAt?: unknown;
}

/**
 * Records as objects. Writes wait in a bounded queue and are read from there meanwhile: links go up once, tags and lists when they
 * change and at most hourly else, and an older one never replaces a newer. A service that does not answer at once reads as absent.
 */
export function makeS3Records({ keys, objects, queue, clock, log }: S3RecordsOptions): S3Records {
  const pending = new Map<string, Pending>();
  const absent = makeRecent<true>(clock, { ttlMs: limits.absentMs, entriesMax: limits.absentRememberedMax });
  const written = makeWritten(clock);

  async function write(path: string, mine: Pending): Promise<void> {
    try {
      await writeRecord(objects, path, mine);
    } catch (error) {
      written.delete(path);
      throw error;
    } finally {
      if (pending.get(path) === mine) pending.delete(path);
    }
  }

  async function read(path: string): Promise<Buffer | undefined> {
    try {
      const found = await objects.read(path, { withinMs: limits.recordReadMs });
      if (!found && !pending.has(path)) absent.set(path, true);
      return found;
    } catch (error) {
      if (!isKind(error, "closed", "abandoned")) log.warn({ err: error, path }, "a record in S3 can't be read");
      return undefined;
    }
  }

  function forget(repository: Repository): void {
    const name = repositoryKey(repository);
    written.forget(name);
    for (const [path, { key, text }] of pending)
      if (text !== undefined && repositoryKey(key.repository) === name) add(path, { key, text: undefined });
  }

  function add(path: string, record: Pending): void {
    pending.set(path, record);
    // What the queue drops is read from the service again.
    const oldest = pending.size > limits.recordsQueuedMax ? pending.keys().next() : undefined;
    if (oldest && !oldest.done) {
      pending.delete(oldest.value);
      written.delete(oldest.value);
    }
    queue.add(path, () => write(path, record));
  }

  return {
    async get(key) {
      const path = keys.record(key);
      const found = pending.has(path) || absent.get(path) ? undefined : await read(path);
      // Written while this read was under way.
      return parsed(pending.has(path) ? pending.get(path)?.text : found, key)?.value;
    },
    put(key, value) {
      const path = keys.record(key);
      const facts = key.kind === "link" ? "" : JSON.stringify({ ...asObject(value), checkedAt: undefined });
      if (written.has(path, key.repository, facts)) return Promise.resolve();
      written.put(path, facts);
      absent.delete(path);
      add(path, { key, text: formatRecord({ key, value }) });
      return Promise.resolve();
    },
    remove(key) {
      const path = keys.record(key);
      written.delete(path);
      add(path, { key, text: undefined });
      return Promise.resolve();
    },
    forget,
  };
}

async function writeRecord(objects: Objects, path: string, { key, text }: Pending): Promise<void> {
  if (text === undefined) return await objects.remove(path, patient);
  if (key.kind === "link") return await objects.write(path, text, { ...patient, isNew: true }).catch(isThere);
  const found = parsed(await objects.read(path, patient), key)?.value as Aging | undefined;
  if (!found || ageOf(found) <= ageOf(parsed(text, key)?.value as Aging)) await objects.write(path, text, patient);
}

const patient = { withinMs: limits.answerMs, attemptsMax: limits.writeAttemptsMax, isPatient: true } as const;

const asObject = (value: unknown): object => (typeof value === "object" && value !== null ? value : { value });
const ageOf = ({ checkedAt }: Aging): number => (typeof checkedAt === "number" ? checkedAt : -Infinity);

function isThere(error: unknown): void {
  if (!isKind(error, "exists")) throw error;
}

/** The record, when the text holds this key's; undefined for what is torn or another's. */
function parsed(text: string | Buffer | undefined, key: RecordKey): { readonly value: unknown } | undefined {
  const record = text === undefined ? undefined : parseRecord(String(text));
  try {
    return record && recordPath(record.key) === recordPath(key) ? record : undefined;
  } catch {
    return undefined;
  }
}
