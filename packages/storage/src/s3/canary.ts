import { randomBytes } from "node:crypto";
import type { Readable } from "node:stream";

import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  PutObjectCommand,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { bytesBody, type Clock } from "@pullring/core";

import type { Capabilities, Condition } from "./capabilities.ts";
import type { Exchange } from "./exchange.ts";
import { ended, streamOf } from "./file-stream.ts";
import { limits } from "./limits.ts";
import { discardBody, readBody, type Objects } from "./objects.ts";
import { isKind, S3Error } from "./s3-error.ts";

export interface CanaryOptions {
  readonly bucket: string;
  /** Of nobody else. */
  readonly key: string;
  readonly exchange: Exchange;
  readonly objects: Objects;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** The service gives back something else than it was given. */
export class CorruptingError extends Error {
  override readonly name = "CorruptingError";
}

/**
 * Finds out what the endpoint does, before any blob is trusted to it: some store the framing of a streamed body with it, ignore
 * conditions or ranges, or know no parts. Rejects with CorruptingError, or with S3Error when it can't be found out.
 */
export async function runCanary(options: CanaryOptions): Promise<Capabilities> {
  const bytes = randomBytes(limits.canaryBytes);
  try {
    await put(options, bytes);
    await compareWhole(options, bytes);
    const ranges = await compareRange(options, bytes);
    const conditionalPut = await tellCondition(() => put(options, bytes, { IfNoneMatch: "*" }));
    return { ranges, conditionalPut, ...(await tryParts(options)) };
  } finally {
    await options.objects.remove(options.key, once).catch(() => {});
  }
}

const once = { withinMs: limits.answerMs };

async function put(options: CanaryOptions, bytes: Buffer, condition: { IfNoneMatch?: "*" } = {}): Promise<void> {
  const { bucket: Bucket, key: Key, exchange, signal } = options;
  const facts = { Bucket, Key, ContentLength: bytes.length, ...condition };
  let stream: Readable | undefined;
  try {
    await exchange.ask(
      (s3, abortSignal) => {
        // A stream, because blobs are.
        stream = streamOf(bytesBody(bytes), 0, bytes.length, () => {});
        return s3.send(new PutObjectCommand({ ...facts, Body: stream }), { abortSignal });
      },
      { ...once, signal },
    );
  } finally {
    if (stream) await ended(stream);
  }
}

async function compareWhole({ objects, key, signal }: CanaryOptions, bytes: Buffer): Promise<void> {
  const found = await objects.read(key, { ...once, signal });
  if (!found) throw new S3Error("failed", "the canary is not there after it was stored");
  if (!found.equals(bytes))
    throw new CorruptingError(`the service gives back ${found.length} bytes that are not the ${bytes.length} stored`);
}

async function compareRange(options: CanaryOptions, bytes: Buffer): Promise<boolean> {
  const { bucket: Bucket, key: Key, exchange, clock, signal } = options;
  const [from, to] = [100_000, 200_000];
  const command = new GetObjectCommand({ Bucket, Key, Range: `bytes=${from}-${to - 1}` });
  const asking = { ...once, signal };
  const found = await exchange.ask((s3, abortSignal) => s3.send(command, { abortSignal }), asking, discardBody);
  const isRange = found.$metadata.httpStatusCode === 206;
  const chunks: Buffer[] = [];
  await readBody(found, clock, (chunk) => void chunks.push(Buffer.from(chunk)));
  if (!Buffer.concat(chunks).equals(isRange ? bytes.subarray(from, to) : bytes))
    throw new CorruptingError("the service answers a range with other bytes");
  return isRange;
}

async function tellCondition(attempt: () => Promise<unknown>): Promise<Condition> {
  try {
    await attempt();
    return "ignored";
  } catch (error) {
    if (isKind(error, "exists")) return "honoured";
    if (isKind(error, "unsupported", "refused")) return "refused";
    throw error;
  }
}

/** Two uploads in parts over the object that is there: one completed on a condition that does not hold, and its rest given up. */
async function tryParts(options: CanaryOptions): Promise<Pick<Capabilities, "multipart" | "conditionalComplete">> {
  const { bucket: Bucket, key: Key, exchange, signal } = options;
  const ask: Exchange["ask"] = (send) => exchange.ask(send, { ...once, signal });
  const Body = Buffer.from("canary");
  let open: string | undefined;
  const giveUp = async (): Promise<void> => {
    const UploadId = open;
    open = undefined;
    if (UploadId !== undefined) await ask((s3) => s3.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId })));
  };
  try {
    open = await begin(ask, Bucket, Key);
    const part = { Bucket, Key, UploadId: open, PartNumber: 1 };
    const { ETag, ChecksumCRC32 } = await ask((s3) => s3.send(new UploadPartCommand({ ...part, Body })));
    const Parts = [{ PartNumber: 1, ETag, ...(ChecksumCRC32 === undefined ? {} : { ChecksumCRC32 }) }];
    const whole = { Bucket, Key, UploadId: open, MultipartUpload: { Parts } };
    const conditionalComplete = await tellCondition(() =>
      ask((s3) => s3.send(new CompleteMultipartUploadCommand({ ...whole, IfNoneMatch: "*" }))),
    );
    if (conditionalComplete === "ignored") open = await begin(ask, Bucket, Key);
    await giveUp();
    return { multipart: true, conditionalComplete };
  } catch (error) {
    await giveUp().catch(() => {});
    if (isKind(error, "unsupported", "refused")) return { multipart: false, conditionalComplete: "refused" };
    throw error;
  }
}

const begin = async (ask: Exchange["ask"], Bucket: string, Key: string): Promise<string | undefined> =>
  (await ask((s3) => s3.send(new CreateMultipartUploadCommand({ Bucket, Key })))).UploadId;
