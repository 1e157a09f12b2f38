import type { Readable } from "node:stream";

import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  PutObjectCommand,
  UploadPartCommand,
  type CompletedPart,
} from "@aws-sdk/client-s3";
import type { Body, Clock, StoredBlob } from "@pullring/core";
import { algorithmOf, hexOf, type Digest } from "@pullring/oci";

import type { Capabilities } from "./capabilities.ts";
import type { Exchange, Sender } from "./exchange.ts";
import { ended, streamOf } from "./file-stream.ts";
import type { Keys } from "./keys.ts";
import { limits } from "./limits.ts";
import type { ObjectFacts, Objects } from "./objects.ts";
import { isKind, S3Error } from "./s3-error.ts";
import type { Slots } from "./slots.ts";
import { watchStalls } from "./stall-watch.ts";

export interface PutBlobOptions {
  readonly bucket: string;
  readonly keys: Keys;
  readonly exchange: Exchange;
  readonly objects: Objects;
  readonly clock: Clock;
  readonly capabilities: () => Capabilities;
  /** Shared by all uploads: so many bodies go up at once. */
  readonly sending: Slots;
}

export interface PutBlobOrder {
  readonly digest: Digest;
  readonly blob: StoredBlob;
  /** When the bytes were had, ms since the epoch. */
  readonly at: number;
  /** Whether what is there must be replaced, whatever it says of itself. */
  readonly isReplacing: (there: ObjectFacts) => boolean;
  readonly signal: AbortSignal;
}

interface Put extends PutBlobOrder {
  readonly Key: string;
  readonly body: Body;
  readonly isNew: boolean;
}

/**
 * Stores one verified blob. Never over a good one: conditional where the service knows conditions, looked for before everywhere, so
 * that bytes do not travel for nothing. Rejects with S3Error.
 */
export async function putBlob(options: PutBlobOptions, order: PutBlobOrder): Promise<"ok" | "present"> {
  const { keys, objects } = options;
  const { digest, blob, signal } = order;
  const { body } = blob;
  const Key = keys.blob(digest);
  const asking = { ...patient, signal };
  // A blob that has become public is stored again: metadata can't be changed by itself without a copy.
  const isLess = (there: ObjectFacts): boolean => there.access === "linked" && blob.access === "public";
  const isGood = (there: ObjectFacts): boolean =>
    there.size === body.size && !isLess(there) && !order.isReplacing(there);
  for (let attempt = 1; ; attempt += 1) {
    const there = await objects.head(Key, asking);
    if (there && isGood(there)) return "present";
    const put: Put = { ...order, Key, body, isNew: there === undefined };
    try {
      const isSmall = body.size <= limits.singlePutBytesMax || !options.capabilities().multipart;
      await (isSmall ? putWhole(options, put) : putInParts(options, put));
      return "ok";
    } catch (error) {
      // Somebody else was faster.
      if (!isKind(error, "exists") || attempt >= limits.conflictsMax) throw error;
    }
  }
}

/** Nobody waits for an upload, so it waits for the service. */
const patient = { withinMs: limits.answerMs, attemptsMax: limits.writeAttemptsMax, isPatient: true } as const;

const condition = (isNew: boolean, known: string): { IfNoneMatch?: "*" } =>
  isNew && known !== "refused" ? { IfNoneMatch: "*" } : {};

const metadata = ({ blob, at }: Put): Record<string, string> => ({ access: blob.access, at: String(at) });

async function putWhole(options: PutBlobOptions, put: Put): Promise<void> {
  const { bucket: Bucket, capabilities } = options;
  const { Key, body, digest, isNew } = put;
  // Named beside the sum, or Ceph does not compare it.
  const isSummed = algorithmOf(digest) === "sha256";
  const ChecksumSHA256 = Buffer.from(hexOf(digest), "hex").toString("base64");
  const sum = isSummed ? { ChecksumAlgorithm: "SHA256" as const, ChecksumSHA256 } : {};
  const facts = { Bucket, Key, ContentLength: body.size, Metadata: metadata(put), ...sum };
  const input = { ...facts, ...condition(isNew, capabilities().conditionalPut) };
  await sendBody(options, put, { start: 0, end: body.size }, (s3, Body, abortSignal) =>
    s3.send(new PutObjectCommand({ ...input, Body }), { abortSignal }),
  );
}

interface Span {
  readonly start: number;
  readonly end: number;
}

type SendBody<T> = (
  s3: Parameters<Parameters<Exchange["ask"]>[0]>[0],
  body: Readable,
  signal: AbortSignal,
) => Promise<T>;

/** Sends a span of the file, from its start at every attempt. It may take as long as it moves. */
function sendBody<T>(
  { exchange, clock, sending }: PutBlobOptions,
  put: Put,
  span: Span,
  send: SendBody<T>,
): Promise<T> {
  const attempt: Sender<T> = async (s3, signal) => {
    const watch = watchStalls(clock);
    const stream = streamOf(put.body, span.start, span.end, () => watch.moved());
    try {
      return await send(s3, stream, AbortSignal.any([signal, watch.signal]));
    } catch (error) {
      throw watch.signal.aborted ? watch.signal.reason : error;
    } finally {
      watch.end();
      await ended(stream);
    }
  };
  return sending(() => exchange.ask(attempt, { ...patient, withinMs: Infinity, signal: put.signal }));
}

async function putInParts(options: PutBlobOptions, put: Put): Promise<void> {
  const { exchange, bucket: Bucket } = options;
  const { Key, signal } = put;
  const asking = { ...patient, signal };
  const begin = { Bucket, Key, Metadata: metadata(put) };
  for (let attempt = 1; ; attempt += 1) {
    const { UploadId } = await exchange.ask(
      (s3, abortSignal) => s3.send(new CreateMultipartUploadCommand(begin), { abortSignal }),
      asking,
    );
    if (UploadId === undefined) throw new S3Error("failed", "an upload without a name");
    try {
      const parts = await putParts(options, put, UploadId);
      return await complete(options, put, { UploadId, parts });
    } catch (error) {
      await exchange
        .ask(
          (s3, abortSignal) => s3.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }), { abortSignal }),
          {
            withinMs: limits.answerMs,
            attemptsMax: limits.writeAttemptsMax,
          },
        )
        // The janitor finds what stays.
        .catch(() => {});
      // A conflict on completion means to begin again (S3's API reference).
      if (!isKind(error, "conflict") || attempt >= limits.conflictsMax) throw error;
    }
  }
}

/** Parts stream from the file, some at once. When one fails the others are given up and waited for: the file is closed next. */
async function putParts(options: PutBlobOptions, put: Put, UploadId: string): Promise<CompletedPart[]> {
  const { bucket: Bucket } = options;
  const { Key, body } = put;
  const failed = new AbortController();
  const signal = AbortSignal.any([put.signal, failed.signal]);
  const parts = spans(body.size).map(async (span, index): Promise<CompletedPart> => {
    const PartNumber = index + 1;
    const input = { Bucket, Key, UploadId, PartNumber, ContentLength: span.end - span.start };
    try {
      const { ETag, ChecksumCRC32 } = await sendBody(options, { ...put, signal }, span, (s3, Body, abortSignal) =>
        s3.send(new UploadPartCommand({ ...input, Body }), { abortSignal }),
      );
      return { PartNumber, ETag, ...(ChecksumCRC32 === undefined ? {} : { ChecksumCRC32 }) };
    } catch (error) {
      failed.abort();
      throw error;
    }
  });
  const outcomes = await Promise.allSettled(parts);
  const failure = outcomes.find(({ status }) => status === "rejected");
  if (failure?.status === "rejected") {
    const errors = outcomes.flatMap((outcome) => (outcome.status === "rejected" ? [outcome.reason as unknown] : []));
    throw errors.find((error) => !isKind(error, "abandoned")) ?? failure.reason;
  }
  return Promise.all(parts);
}

export function spans(size: number): Span[] {
  const MiB = 1024 * 1024;
  const least = Math.ceil(size / limits.partsMax / MiB) * MiB;
  const length = Math.min(limits.partBytesMax, Math.max(limits.partBytesMin, least));
  return Array.from({ length: Math.ceil(size / length) }, (_, index) => ({
    start: index * length,
    end: Math.min(size, (index + 1) * length),
  }));
}

interface Completion {
  readonly UploadId: string;
  readonly parts: CompletedPart[];
}

async function complete(options: PutBlobOptions, put: Put, { UploadId, parts }: Completion): Promise<void> {
  const { exchange, objects, bucket: Bucket, capabilities } = options;
  const { Key, body, isNew, signal } = put;
  const facts = { Bucket, Key, UploadId, MultipartUpload: { Parts: parts } };
  const input = { ...facts, ...condition(isNew, capabilities().conditionalComplete) };
  try {
    await exchange.ask((s3, abortSignal) => s3.send(new CompleteMultipartUploadCommand(input), { abortSignal }), {
      withinMs: limits.completeMs,
      isPatient: true,
      signal,
    });
  } catch (error) {
    // The answer may have been lost and not the request.
    const there = isKind(error, "failed", "silent") ? await objects.head(Key, { ...patient, signal }) : undefined;
    if (there?.size !== body.size || there.at !== put.at) throw error;
  }
}
