import type { Cluster, SharedBlobs } from "./cluster-ports.ts";
import { hasCode, PullringError } from "./errors.ts";
import type { Place } from "./places.ts";
import type { BlobRequest, BlobSink, BlobSource } from "./ports.ts";
import type { Search } from "./search.ts";

/** Where one fill has its bytes from: over its life that may be several places, one after the other. */
export interface FillSource {
  /** Brings the bytes from `offset` to the end. The sink is told by `head` of every place that answered. */
  get(request: BlobRequest, sink: BlobSink): Promise<void>;
  /** A piece that ends early, from upstream or S3; only while one of them feeds the fill. */
  range(place: Place, request: BlobRequest, sink: BlobSink): Promise<void>;
  /** A peer takes this node for the digest's owner. */
  claim(): void;
  /** Called once the fill has settled. */
  close(): Promise<void>;
}

export interface FillSourceParts {
  readonly upstream: Pick<BlobSource, "get">;
  readonly shared?: SharedBlobs | undefined;
  readonly cluster?: Cluster | undefined;
}

export function makeFillSource({ upstream, shared, cluster }: FillSourceParts, search: Search): FillSource {
  async function ask(place: Place, request: BlobRequest, sink: BlobSink): Promise<void> {
    if (place.tier === "upstream") return upstream.get(request, sink);
    if (place.tier === "s3") return shared?.get(request, sink);
    if (place.verb === "read") return cluster?.blobs.read(place.node, request, sink);
    return cluster?.blobs.get(place.node, request, sink).catch(verdict);
  }

  return {
    range: ask,
    claim: () => search.claim(),
    close: () => search.close(),
    get(request, sink) {
      // The transfer asks with one byte of overlap.
      let received = request.offset === 0 ? 0 : request.offset + 1;
      return search.find({
        signal: request.signal ?? neverAborted,
        received: () => received,
        take(place, signal) {
          const rest = { ...request, offset: Math.max(0, received - 1), signal };
          let at = rest.offset;
          let refusal: unknown;
          const counted: BlobSink = {
            head(head) {
              at = head.offset;
              try {
                sink.head(head);
              } catch (error) {
                refusal = error;
                throw error;
              }
            },
            write(chunk) {
              at += chunk.length;
              const taken = sink.write(chunk);
              if (at > received) {
                received = at;
                search.progress(received);
              }
              return taken;
            },
          };
          return ask(place, rest, counted).catch((error: unknown) => {
            throw refusal ?? error;
          });
        },
      });
    },
  };
}

const neverAborted = new AbortController().signal;

/** That a peer found wrong bytes where it asked is no fault of the peer's. */
export function verdict(error: unknown): never {
  if (!hasCode(error, "corrupt")) throw error;
  throw new PullringError("unavailable", "the owner of this digest got wrong bytes for it", { cause: error });
}
