import type { PeerAsked, PeerHandlerOptions } from "@pullring/cluster";
import type { CacheEvent, Repository } from "@pullring/core";
import type { OnWire } from "@pullring/upstream";

import type { Exchange } from "../http/exchange.ts";
import { scrubText } from "./scrub.ts";
import type { Attributes, SpanEnd } from "./tracer.ts";

/**
 * What spans are called and what they tell: OpenTelemetry's semantic conventions for HTTP where there are words for it, `pullring.` for
 * the rest. No client's address or name, no query of a URL, no header.
 */
type PeerAsking = Parameters<NonNullable<PeerHandlerOptions["around"]>>[0];
export type PeerTarget = PeerAsking["target"];
export type PeerOutcome = Awaited<ReturnType<NonNullable<PeerHandlerOptions["around"]>>>;
type WireAsk = Parameters<OnWire>[0];
type WireEnd = Parameters<ReturnType<OnWire>>[0];
type FillEnded = Extract<CacheEvent, { kind: "fill_ended" }>;

const routes: Readonly<Record<Exchange["route"], string | undefined>> = {
  ping: "/v2/",
  manifest: "/v2/{name}/manifests/{reference}",
  blob: "/v2/{name}/blobs/{digest}",
  tags: "/v2/{name}/tags/list",
  referrers: "/v2/{name}/referrers/{digest}",
  other: undefined,
};

export const repositoryAttributes = (repository: Repository | undefined): Attributes => ({
  "pullring.upstream": repository?.upstream,
  "pullring.repository": repository?.name,
});

export const requestAttributes = ({ id, request }: Exchange): Attributes => ({
  "http.request.method": request.method,
  "pullring.request_id": id,
});

/** Whatever is a server's own doing is its failure: what a client is refused is none. */
const failed: ReadonlySet<string> = new Set<Exchange["outcome"]>(["failed", "cut"]);

export function requestEnd(exchange: Exchange): SpanEnd {
  const { route, request, response, repository, reference, digest, tier, outcome, bytes, joined, error } = exchange;
  const path = routes[route];
  return {
    ...(path !== undefined && { name: `${request.method} ${path}` }),
    attributes: {
      ...repositoryAttributes(repository),
      "http.route": path,
      "http.response.status_code": response.statusCode,
      "http.response.body.size": bytes,
      "pullring.reference": reference === "" ? undefined : reference,
      "pullring.digest": digest,
      "pullring.tier": tier,
      "pullring.outcome": outcome,
      "pullring.joined": joined,
    },
    ...(failed.has(outcome) && { failure: reasonOf(error, outcome) }),
  };
}

export const fillAttributes = ({ digest, repository }: { digest: string; repository: Repository }): Attributes => ({
  ...repositoryAttributes(repository),
  "pullring.digest": digest,
});

export function fillEnd({ state, bytes, kept, error }: FillEnded): SpanEnd {
  return {
    attributes: { "pullring.fill.state": state, "pullring.fill.bytes": bytes, "pullring.fill.kept": kept },
    ...(state === "failed" && { failure: reasonOf(error, state) }),
  };
}

/** A lane is `<account>@<egress>@<node>`. */
export function upstreamAttributes(ask: WireAsk): Attributes {
  const { hostname, port, protocol } = new URL(ask.origin);
  const [account, egress] = ask.lane.split("@");
  return {
    "http.request.method": ask.method,
    "server.address": hostname,
    "server.port": Number(port || (protocol === "https:" ? 443 : 80)),
    "url.scheme": protocol.slice(0, -1),
    "pullring.upstream": ask.upstream,
    "pullring.repository": ask.repository,
    "pullring.reference": ask.reference,
    "pullring.upstream.kind": ask.kind,
    "pullring.upstream.redirects": ask.hop,
    "pullring.account": account,
    "pullring.egress": egress,
  };
}

/** Statuses that are no failure: the challenge that every login begins with, and what is not there. */
const plain: ReadonlySet<number> = new Set([401, 404]);

export function upstreamEnd({ status, bytes, isBroken }: WireEnd): SpanEnd {
  const isRefusal = status !== undefined && status >= 400 && !plain.has(status);
  return {
    attributes: { "http.response.status_code": status, "http.response.body.size": bytes },
    ...((isBroken || isRefusal) && { failure: isBroken ? "broken" : String(status) }),
  };
}

/** What a target names beside its kind. */
export const targetAttributes = (target: PeerTarget): Attributes => ({
  ...repositoryAttributes("repository" in target ? target.repository : undefined),
  "pullring.reference": "tag" in target ? target.tag : "digest" in target ? target.digest : undefined,
});

const wellEnded: ReadonlySet<string> = new Set<PeerOutcome | PeerAsked["outcome"]>(["ok", "missing", "aborted"]);

export const peerEnd = (outcome: PeerOutcome | PeerAsked["outcome"]): SpanEnd => ({
  attributes: { "pullring.outcome": outcome },
  ...(!wellEnded.has(outcome) && { failure: outcome }),
});

const reasonOf = (error: unknown, otherwise: string): string =>
  scrubText(error instanceof Error ? error.message : otherwise);
