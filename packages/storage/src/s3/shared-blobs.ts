import { GetObjectCommand, type GetObjectCommandOutput } from "@aws-sdk/client-s3";
import {
  hasCode,
  makeRecent,
  PullringError,
  type BlobHead,
  type BlobRequest,
  type BlobSink,
  type Clock,
  type SharedBlobs,
} from "@pullring/core";
import type { Digest } from "@pullring/oci";

import type { Exchange } from "./exchange.ts";
import type { Keys } from "./keys.ts";
import { limits } from "./limits.ts";
import { bodyOf, discardBody, factsOf, readBody, type Objects } from "./objects.ts";
import type { ObserveS3 } from "./observe.ts";
import { asS3Error, isKind, S3Error } from "./s3-error.ts";
import type { Uploads } from "./uploads.ts";

export interface SharedBlobsOptions {
  readonly bucket: string;
  readonly keys: Keys;
  readonly exchange: Exchange;
  readonly objects: Objects;
  readonly clock: Clock;
  readonly observe: ObserveS3;
  readonly uploads: Uploads;
  readonly isPurged: (key: string, sinceMs: number) => boolean;
  readonly onUse: (digest: Digest) => void;
  /** Why the tier must not be read from. */
  readonly disabled: () => string | undefined;
}

export function makeSharedBlobs(options: SharedBlobsOptions): SharedBlobs {
  const { keys, objects, observe, uploads, isPurged, onUse, clock } = options;
  const entriesMax = limits.quarantinedMax;
  const quarantined = makeRecent<true>(clock, { ttlMs: limits.quarantineMs, entriesMax });

  async function get(request: BlobRequest, sink: BlobSink): Promise<void> {
    const { digest } = request;
    if (quarantined.get(digest)) throw new PullringError("missing", "S3 sent wrong bytes for this digest a moment ago");
    const reason = options.disabled();
    if (reason !== undefined) throw new PullringError("unavailable", reason);
    const object = await begin(options, request);
    try {
      const { access, at } = factsOf(object, 0);
      if (isPurged(digest, at)) throw new PullringError("missing", "this digest was purged");
      sink.head({ lane: { name: "s3", access }, ...placeOf(object, request.offset), resumable: true });
      onUse(digest);
      await move(options, object, sink);
    } finally {
      bodyOf(object).destroy();
    }
  }

  return {
    async get(request, sink) {
      try {
        await get(request, sink);
        observe({ kind: "read", outcome: "ok" });
      } catch (error) {
        request.signal?.throwIfAborted();
        observe({ kind: "read", outcome: hasCode(error, "missing") ? "miss" : "failed" });
        throw error;
      }
    },
    async stat(digest) {
      if (quarantined.get(digest) || options.disabled() !== undefined) return undefined;
      const found = await objects.head(keys.blob(digest), { withinMs: limits.firstByteMs }).catch(() => undefined);
      if (!found || isPurged(digest, found.at)) return undefined;
      return { size: found.size, access: found.access };
    },
    upload: (digest) => uploads.add(digest, { isWrongThere: quarantined.get(digest) === true }),
    quarantine(digest) {
      observe({ kind: "read", outcome: "mismatch" });
      quarantined.set(digest, true);
    },
    async remove(digest) {
      uploads.cancel(digest);
      await objects.remove(keys.blob(digest)).catch((error: unknown) => {
        throw new PullringError("unavailable", "S3 keeps a blob that is to go", { cause: error });
      });
    },
  };
}

/** The head of the answer, or a PullringError. */
async function begin(
  { exchange, bucket, keys }: SharedBlobsOptions,
  { digest, offset, end, signal }: BlobRequest,
): Promise<GetObjectCommandOutput> {
  const range = offset > 0 || end !== undefined ? { Range: `bytes=${offset}-${end === undefined ? "" : end - 1}` } : {};
  const command = new GetObjectCommand({ Bucket: bucket, Key: keys.blob(digest), ...range });
  try {
    const asking = { withinMs: limits.firstByteMs, attemptsMax: limits.readAttemptsMax, ...(signal ? { signal } : {}) };
    return await exchange.ask((s3, abortSignal) => s3.send(command, { abortSignal }), asking, discardBody);
  } catch (error) {
    signal?.throwIfAborted();
    if (isKind(error, "missing")) throw new PullringError("missing", "S3 does not have this digest", { cause: error });
    const reason = isKind(error, "silent") ? "timeout" : "down";
    throw new PullringError("unavailable", `S3 can't be asked: ${asS3Error(error).message}`, { cause: error, reason });
  }
}

/** Where the bytes lie in the blob, by what the service says and not by what it was asked. */
function placeOf(object: GetObjectCommandOutput, asked: number): Pick<BlobHead, "offset" | "size"> {
  if (object.$metadata.httpStatusCode !== 206)
    return { offset: 0, ...(object.ContentLength === undefined ? {} : { size: object.ContentLength }) };
  const [, from, size] = /^bytes (\d+)-\d+\/(\d+)$/.exec(object.ContentRange ?? "") ?? [];
  if (from === undefined || Number(from) !== asked)
    throw new PullringError("unavailable", `S3 answered a range from ${asked} with ${object.ContentRange}`);
  return { offset: asked, size: Number(size) };
}

async function move(
  { clock, exchange }: SharedBlobsOptions,
  object: GetObjectCommandOutput,
  sink: BlobSink,
): Promise<void> {
  try {
    await readBody(object, clock, (chunk) => sink.write(chunk));
  } catch (error) {
    // What the sink threw is the caller's own.
    if (!(error instanceof S3Error)) throw error;
    exchange.settle(error);
    throw new PullringError("cut", `S3 broke off: ${error.message}`, { cause: error });
  }
}
