import type { RequestKind } from "./config.ts";
import type { Head, WireRequest } from "./exchange.ts";
import { contentLengthOf, headerOf } from "./headers.ts";
import type { AccountLane } from "./lanes.ts";
import type { Transport } from "./transport.ts";

/** One exchange on the wire, told before it begins. A request that is redirected consists of several, told one by one. */
export interface WireAsk {
  readonly upstream: string;
  readonly kind: RequestKind;
  readonly lane: string;
  readonly method: "GET" | "HEAD";
  readonly origin: string;
  /** Counts the requests to this upstream; their redirects have the same number. */
  readonly errand: number;
  /** 0 for the first exchange of a request, 1 for where that redirects to, and so on. */
  readonly hop: number;
  /** By the address at the registry; those of redirects are nobody's business. */
  readonly repository?: string;
  readonly reference?: string;
  readonly range?: string;
  /** Whether an Authorization header goes along. */
  readonly credentials: boolean;
}

export interface WireEnd {
  readonly status?: number;
  /** Of the body, as it came. */
  readonly bytes: number;
  /** What the head announced. */
  readonly length?: number;
  readonly retryAfter?: string;
  /** Which facts about a manifest the head told. */
  readonly tells: readonly ("digest" | "type" | "size")[];
  /** It broke: no head, or not the whole body. */
  readonly isBroken: boolean;
}

/** Is told of an exchange when it begins; what it returns is told of its end, once. */
export type OnWire = (ask: WireAsk) => (end: WireEnd) => void;

interface Errand {
  readonly upstream: string;
  readonly kind: RequestKind;
  readonly lane: AccountLane;
  readonly number: number;
  readonly request: WireRequest;
}

/** The transport for one request, every exchange of it told. */
export function tapped(transport: Transport, onWire: OnWire, errand: Errand): Transport {
  const { upstream, kind, lane, number } = errand;
  const [, repository, reference] =
    /\/v2\/(.+)\/(?:manifests|blobs|referrers)\/([^/]+)$/.exec(errand.request.url.pathname) ?? [];
  const named = {
    ...(repository === undefined ? {} : { repository }),
    ...(reference === undefined ? {} : { reference }),
  };
  let hop = 0;
  return {
    ...transport,
    async exchange(request, onHead) {
      const { method, url, headers } = request;
      const onEnd = onWire({
        upstream,
        kind,
        lane: lane.name,
        method,
        origin: url.origin,
        errand: number,
        hop,
        ...named,
        ...(headers["range"] === undefined ? {} : { range: headers["range"] }),
        credentials: headers["authorization"] !== undefined,
      });
      hop += 1;
      let head: Head | undefined;
      let bytes = 0;
      const end = (isBroken: boolean): void => onEnd({ ...factsOf(head), bytes, isBroken });
      try {
        const answer = await transport.exchange(request, (found) => {
          head = found;
          const sink = onHead(found);
          return sink && { write: (chunk) => ((bytes += chunk.length), sink.write(chunk)) };
        });
        end(false);
        return answer;
      } catch (error) {
        end(true);
        throw error;
      }
    },
  };
}

function factsOf(head: Head | undefined): Omit<WireEnd, "bytes" | "isBroken"> {
  if (!head) return { tells: [] };
  const { status, headers } = head;
  const length = contentLengthOf(headers);
  const retryAfter = headerOf(headers, "retry-after");
  const tells: [WireEnd["tells"][number], boolean][] = [
    ["digest", headers["docker-content-digest"] !== undefined],
    ["type", headers["content-type"] !== undefined],
    ["size", length !== undefined],
  ];
  return {
    status,
    ...(length === undefined ? {} : { length }),
    ...(retryAfter === undefined ? {} : { retryAfter }),
    tells: tells.flatMap(([fact, isTold]) => (isTold ? [fact] : [])),
  };
}
