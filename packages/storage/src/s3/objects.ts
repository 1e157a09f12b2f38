import type { Readable } from "node:stream";

import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type GetObjectCommandOutput,
} from "@aws-sdk/client-s3";
import type { Access, Clock } from "@pullring/core";

import type { Asking, Exchange } from "./exchange.ts";
import { limits } from "./limits.ts";
import { asS3Error, isKind, S3Error } from "./s3-error.ts";
import { watchStalls } from "./stall-watch.ts";

/** What an object says of itself. */
export interface ObjectFacts {
  readonly size: number;
  readonly access: Access;
  /** When its bytes were had, ms since the epoch by the clock of the node that had them. */
  readonly at: number;
}

export interface ListedObject {
  readonly key: string;
  readonly size: number;
  readonly modifiedAt: number;
  readonly tag: string;
}

export interface PutOptions extends Asking {
  /** Not over an object that is there; rejects with `exists` then, where the service knows the condition. */
  readonly isNew?: boolean;
}

/** The bucket's objects, small ones whole. Rejects with S3Error. Every body is read to its end or destroyed. */
export interface Objects {
  head(key: string, asking?: Asking): Promise<ObjectFacts | undefined>;
  /** undefined = not there. */
  read(key: string, asking?: Asking): Promise<Buffer | undefined>;
  write(key: string, text: string, options?: PutOptions): Promise<void>;
  remove(key: string, asking?: Asking): Promise<void>;
  list(prefix: string): AsyncIterable<ListedObject>;
}

export function makeObjects(exchange: Exchange, Bucket: string, clock: Clock): Objects {
  const answer = { withinMs: limits.answerMs, attemptsMax: limits.writeAttemptsMax };

  async function* list(prefix: string): AsyncIterable<ListedObject> {
    for (let token: string | undefined; ;) {
      const input = { Bucket, Prefix: prefix, ...(token === undefined ? {} : { ContinuationToken: token }) };
      const page = await exchange.ask(
        (s3, abortSignal) => s3.send(new ListObjectsV2Command(input), { abortSignal }),
        answer,
      );
      for (const { Key = "", Size = 0, LastModified, ETag = "" } of page.Contents ?? [])
        yield { key: Key, size: Size, modifiedAt: LastModified?.getTime() ?? 0, tag: ETag };
      token = page.NextContinuationToken;
      if (page.IsTruncated !== true || token === undefined) return;
    }
  }

  return {
    list,
    async head(Key, asking = answer) {
      const command = new HeadObjectCommand({ Bucket, Key });
      const found = await exchange.ask((s3, abortSignal) => s3.send(command, { abortSignal }), asking).catch(absent);
      return found && factsOf(found, found.ContentLength ?? 0);
    },
    async read(Key, asking = answer) {
      const command = new GetObjectCommand({ Bucket, Key });
      const found = await exchange
        .ask((s3, abortSignal) => s3.send(command, { abortSignal }), asking, discardBody)
        .catch(absent);
      return found && readWhole(found, clock);
    },
    async write(Key, text, options = {}) {
      const { isNew = false, ...asking } = options;
      const input = { Bucket, Key, Body: text, ContentType: "application/json", ...(isNew && { IfNoneMatch: "*" }) };
      const command = new PutObjectCommand(input);
      await exchange.ask((s3, abortSignal) => s3.send(command, { abortSignal }), { ...answer, ...asking });
    },
    async remove(Key, asking = answer) {
      const command = new DeleteObjectCommand({ Bucket, Key });
      await exchange.ask((s3, abortSignal) => s3.send(command, { abortSignal }), asking).catch(absent);
    },
  };
}

export function absent(error: unknown): undefined {
  if (!isKind(error, "missing")) throw error;
}

interface Described {
  readonly Metadata?: Record<string, string> | undefined;
  readonly LastModified?: Date | undefined;
}

/** Without metadata of ours the bytes are not public: at worst that costs one HEAD upstream. */
export function factsOf({ Metadata = {}, LastModified }: Described, size: number): ObjectFacts {
  const at = Number(Metadata["at"]);
  const access = Metadata["access"] === "public" ? "public" : "linked";
  return { size, access, at: Number.isFinite(at) && at > 0 ? at : (LastModified?.getTime() ?? 0) };
}

/** On Node a body is a stream of the socket's. */
export const bodyOf = ({ Body }: Pick<GetObjectCommandOutput, "Body">): Readable => Body as Readable;

export const discardBody = (answer: GetObjectCommandOutput): void => void bodyOf(answer).destroy();

async function readWhole(found: GetObjectCommandOutput, clock: Clock): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  await readBody(found, clock, (chunk) => {
    chunks.push(Buffer.from(chunk));
    length += chunk.length;
    if (length > limits.recordBytesMax) throw new S3Error("refused", "an object of ours is larger than we write any");
  });
  return Buffer.concat(chunks);
}

/**
 * Hands on a body to its end, and frees its socket whatever happens: one that is left unread holds it for ever. Rejects with S3Error
 * for a body that stalls or ends early, and with whatever `take` rejects with.
 */
export async function readBody(
  found: GetObjectCommandOutput,
  clock: Clock,
  take: (chunk: Uint8Array) => void | Promise<void>,
): Promise<void> {
  const body = bodyOf(found);
  const watch = watchStalls(clock);
  watch.signal.addEventListener("abort", () => body.destroy(asS3Error(watch.signal.reason)), { once: true });
  let received = 0;
  let refusal: { readonly error: unknown } | undefined;
  try {
    for await (const chunk of body as AsyncIterable<Uint8Array>) {
      received += chunk.length;
      watch.moved();
      try {
        const taken = take(chunk);
        if (taken) await watch.hold(taken);
      } catch (error) {
        refusal = { error };
        throw error;
      }
    }
  } catch (error) {
    throw refusal ? refusal.error : asS3Error(error);
  } finally {
    watch.end();
    body.destroy();
  }
  if (received < (found.ContentLength ?? received)) throw new S3Error("failed", `a body ended after ${received} bytes`);
}
