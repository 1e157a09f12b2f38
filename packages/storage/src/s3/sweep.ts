import {
  AbortMultipartUploadCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  type ListMultipartUploadsCommandOutput,
  type MultipartUpload,
} from "@aws-sdk/client-s3";
import type { Clock } from "@pullring/core";

import type { Log } from "../log.ts";
import type { Exchange } from "./exchange.ts";
import type { Keys } from "./keys.ts";
import { KeptSet } from "./kept-set.ts";
import { limits } from "./limits.ts";
import { Named } from "./named.ts";
import { absent, type ListedObject, type Objects } from "./objects.ts";
import type { Used } from "./used.ts";

export interface SweepOptions {
  readonly bucket: string;
  readonly keys: Keys;
  readonly exchange: Exchange;
  readonly objects: Objects;
  readonly used: Used;
  readonly clock: Clock;
  readonly log: Log;
  /** 0 keeps everything. */
  readonly expireMs: number;
}

const asking = { withinMs: limits.answerMs, attemptsMax: limits.writeAttemptsMax } as const;

/** Aborts uploads in parts that a crash left: they are billed and no listing shows them. Tells how many. */
export async function abortAbandoned({ bucket: Bucket, keys, exchange, clock }: SweepOptions): Promise<number> {
  const oldestMs = clock.now() - limits.abandonedMs;
  let aborted = 0;
  for (const Prefix of [keys.blobs, keys.canary])
    for await (const { Key, UploadId, Initiated } of listUploads(exchange, { Bucket, Prefix })) {
      if (Initiated === undefined || Initiated.getTime() >= oldestMs) continue;
      const upload = { Bucket, Key, UploadId };
      const listed = await exchange
        .ask((s3, abortSignal) => s3.send(new ListPartsCommand(upload), { abortSignal }), asking)
        .catch(absent);
      // A large blob on a slow line is no leftover.
      if (listed?.Parts?.some(({ LastModified }) => (LastModified?.getTime() ?? 0) >= oldestMs)) continue;
      const abort = new AbortMultipartUploadCommand(upload);
      await exchange.ask((s3, abortSignal) => s3.send(abort, { abortSignal }), asking).catch(absent);
      aborted += 1;
    }
  return aborted;
}

async function* listUploads(
  exchange: Exchange,
  where: { readonly Bucket: string; readonly Prefix: string },
): AsyncIterable<MultipartUpload> {
  let next: Pick<ListMultipartUploadsCommandOutput, "NextKeyMarker" | "NextUploadIdMarker"> = {};
  for (;;) {
    const markers = {
      ...(next.NextKeyMarker ? { KeyMarker: next.NextKeyMarker } : {}),
      ...(next.NextUploadIdMarker ? { UploadIdMarker: next.NextUploadIdMarker } : {}),
    };
    const command = new ListMultipartUploadsCommand({ ...where, ...markers });
    const page = await exchange.ask((s3, abortSignal) => s3.send(command, { abortSignal }), asking);
    yield* page.Uploads ?? [];
    if (page.IsTruncated !== true || !page.NextKeyMarker) return;
    next = page;
  }
}

/** Removes what a crash left of canaries. */
export async function removeCanaries({ keys, objects, clock }: SweepOptions): Promise<void> {
  for await (const { key, modifiedAt } of objects.list(keys.canary))
    if (modifiedAt < clock.now() - limits.abandonedMs) await objects.remove(key);
}

export interface Usage {
  readonly objects: number;
  readonly bytes: number;
}

export interface Expired {
  /** What is left. */
  readonly usage: Usage;
  readonly removed: number;
}

/**
 * Counts the blobs, and removes those that nobody has asked for in `expireMs`, unless a tag record names them. Tags are followed
 * before the first removal and again before each batch, for a tag may have moved back to something old.
 */
export async function expire(options: SweepOptions): Promise<Expired> {
  const { keys, objects, used, clock, expireMs } = options;
  const sinceMs = expireMs > 0 ? clock.now() - expireMs : -Infinity;
  const kept = new KeptSet();
  const named = new Named({ keys, objects, kept });
  if (expireMs > 0) {
    await used.flush();
    await used.collect(kept, sinceMs);
    await named.follow();
  }
  const total = { objects: 0, bytes: 0, removed: 0 };
  let batch: ListedObject[] = [];
  const removeBatch = async (): Promise<void> => {
    const blobs = batch;
    batch = [];
    if (blobs.length === 0) return;
    await named.follow();
    const free = blobs.filter(({ key }) => !isKept(key)).values();
    const work = async (): Promise<void> => {
      for (const { key, size } of free) {
        await objects.remove(key);
        total.removed += 1;
        total.objects -= 1;
        total.bytes -= size;
      }
    };
    await Promise.all(Array.from({ length: limits.sweepConcurrency }, work));
  };
  const isKept = (key: string): boolean => {
    const digest = keys.digestOf(key);
    return digest === undefined || kept.has(digest);
  };
  for await (const blob of objects.list(keys.blobs)) {
    total.objects += 1;
    total.bytes += blob.size;
    if (blob.modifiedAt < sinceMs && !isKept(blob.key)) batch.push(blob);
    if (batch.length >= limits.removedPerMark) await removeBatch();
  }
  await removeBatch();
  await removeOldLists(options);
  const { removed, ...usage } = total;
  return { usage, removed };
}

/** Clients choose the pages that lists are made of, so lists that are not checked any more go; they cost one request to have again. */
async function removeOldLists({ keys, objects, clock }: SweepOptions): Promise<void> {
  for await (const { key, modifiedAt } of objects.list(keys.records))
    if (/_lists\/[^/]*$/.test(key) && modifiedAt < clock.now() - limits.listKeptMs) await objects.remove(key);
}
