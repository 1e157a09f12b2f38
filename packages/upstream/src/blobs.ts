import {
  hasCode,
  makeRecent,
  PullringError,
  type BlobHead,
  type BlobRequest,
  type BlobSink,
  type BlobSource,
  type Clock,
  type Repository,
} from "@pullring/core";
import type { Digest } from "@pullring/oci";

import { contentLengthOf, contentRangeOf, headerOf, isIdentity, isRedirect, type ContentRange } from "./headers.ts";
import type { BodySink } from "./intake.ts";
import type { AccountLane } from "./lanes.ts";
import { limits } from "./limits.ts";
import type { Answer } from "./redirects.ts";
import type { Order } from "./order.ts";
import type { Registry } from "./registry.ts";
import type { RegistryOf } from "./sources.ts";

/** What an answer to a blob GET promises. */
interface Promised {
  readonly head: BlobHead;
  /** Bytes of this body. */
  readonly length?: number;
}

export function makeBlobSource(registryOf: RegistryOf, clock: Clock): BlobSource {
  const headTellsNothing = makeRecent<true>(clock, {
    ttlMs: limits.headTellsNothingMs,
    entriesMax: limits.memoriesMax,
  });

  /** One byte of it: its size without the rest, by an address that is signed for GET. */
  async function probe({ upstream, name }: Repository, digest: Digest, signal?: AbortSignal): Promise<Found> {
    const order = { ...orderOf("blob_range", name, digest), range: "bytes=0-0", accepts: [200, 206, 416], signal };
    return one(registryOf(upstream), order, ({ status, headers, url }) => {
      if (status === 200) return contentLengthOf(headers);
      const range = contentRangeOf(headers);
      // An empty blob has no first byte, and only it.
      if (range && (status === 206 || range.total === 0)) return range.total;
      throw new PullringError("corrupt", `${url.host} answers one byte with a wrong Content-Range`);
    });
  }

  return {
    async head(repository, digest, signal) {
      const { upstream, name } = repository;
      if (headTellsNothing.get(upstream)) return probe(repository, digest, signal);
      // A redirect to a HEAD may be signed for HEAD alone, or for GET alone, so it is taken as a mere yes.
      const redirects = [301, 302, 303, 307, 308];
      const order = {
        ...orderOf("blob_head", name, digest),
        method: "HEAD",
        follow: false,
        accepts: [200, ...redirects],
        signal,
      } as const;
      let found: Found | undefined;
      try {
        found = await one(registryOf(upstream), order, ({ status, headers }) =>
          isRedirect(status) ? undefined : contentLengthOf(headers),
        );
      } catch (error) {
        // ECR Public answers every HEAD of a blob by 401, a good token or not.
        if (!hasCode(error, "unsupported") && !(hasCode(error, "missing") && error.reason === "refused")) throw error;
      }
      if (found?.size !== undefined) return found;
      const probed = await probe(repository, digest, signal);
      headTellsNothing.set(upstream, true);
      return probed;
    },

    async get(request, sink) {
      const { repository, digest, offset, end, signal } = request;
      const order = {
        ...orderOf(end === undefined ? "blob_get" : "blob_range", repository.name, digest),
        ...(offset === 0 && end === undefined ? {} : { range: `bytes=${offset}-${end === undefined ? "" : end - 1}` }),
        accepts: [200, 206],
        signal,
      };
      let counted: Counted | undefined;
      await registryOf(repository.upstream).ask(order, (answer, lane) => {
        const promised = promisedBy(answer, { request, lane });
        sink.head(promised.head);
        counted = countInto(sink, promised);
        return counted;
      });
      counted?.finish();
    },
  };
}

interface Found {
  readonly lane: { readonly name: string; readonly access: AccountLane["access"] };
  readonly size?: number;
}

const orderOf = (kind: Order["kind"], repository: string, digest: Digest): Order => ({
  kind,
  repository,
  path: `blobs/${digest}`,
  bulk: kind !== "blob_head",
});

async function one(registry: Registry, order: Order, sizeOf: (answer: Answer) => number | undefined): Promise<Found> {
  let found: Found | undefined;
  await registry.ask(order, (answer, lane) => {
    const size = sizeOf(answer);
    found = { lane: { name: lane.name, access: lane.access }, ...(size === undefined ? {} : { size }) };
    return undefined;
  });
  if (!found) throw new PullringError("unavailable", "no answer was received");
  return found;
}

/** Checks the head of a body against what was asked: bytes from elsewhere in the blob must never be taken for these. */
function promisedBy(answer: Answer, { request, lane }: { request: BlobRequest; lane: AccountLane }): Promised {
  const { status, headers, url } = answer;
  const corrupt = (why: string): PullringError => new PullringError("corrupt", `${url.host} sends a blob ${why}`);
  if (!isIdentity(headers)) throw corrupt("with a content coding");
  const declared = contentLengthOf(headers);
  if (declared === undefined && headers["content-length"] !== undefined) throw corrupt("of unreadable length");
  const lengthOf = (length: number | undefined) => (length === undefined ? {} : { length });
  const head = { lane: { name: lane.name, access: lane.access } };
  if (status === 200) {
    if (request.end !== undefined) throw new PullringError("unsupported", `${url.host} ignores ranges`);
    const ranged = headerOf(headers, "accept-ranges")?.trim().toLowerCase() !== "none" && request.offset === 0;
    const size = declared === undefined ? {} : { size: declared };
    return { head: { ...head, offset: 0, resumable: ranged, ...size }, ...lengthOf(declared) };
  }
  const range = contentRangeOf(headers);
  if (!fits(range, request)) throw corrupt("from elsewhere than was asked");
  const length = range.end - range.start;
  if (declared !== undefined && declared !== length) throw corrupt("whose Content-Range and Content-Length disagree");
  const size = range.total === undefined ? {} : { size: range.total };
  return { head: { ...head, offset: range.start, resumable: true, ...size }, ...lengthOf(length) };
}

function fits(
  range: ContentRange | undefined,
  { offset, end }: BlobRequest,
): range is { start: number; end: number; total?: number } {
  return range?.start === offset && range.end !== undefined && (end === undefined || range.end <= end);
}

interface Counted extends BodySink {
  /** Throws `cut` when bytes are missing. */
  finish(): void;
}

/** Holds a body to the length it was announced with; a longer one is corrupt before its surplus is passed on. */
function countInto(sink: BlobSink, { length }: Promised): Counted {
  let received = 0;
  return {
    write(chunk) {
      received += chunk.length;
      if (length !== undefined && received > length) throw new PullringError("corrupt", `more than ${length} bytes`);
      return sink.write(chunk);
    },
    finish() {
      if (length !== undefined && received < length) throw new PullringError("cut", `${received} of ${length} bytes`);
    },
  };
}
