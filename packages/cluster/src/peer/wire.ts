import type { LaneOrder, PeerVerb, PurgeOrder, Repository } from "@pullring/core";
import { parseDigest, parseName, parseReference, isDigestReference, type Digest, type Tag } from "@pullring/oci";

/**
 * The words of the peer wire, version 1. HTTP/1.1; every target has exactly one text.
 *
 * | request | answer |
 * |---|---|
 * | `GET /peer/v1/get/blobs/<digest>?upstream=…&repository=…` | the bytes; the receiver acts as the owner |
 * | `GET /peer/v1/read/blobs/<digest>?…` | the bytes that the receiver has; `HEAD` = what it has |
 * | `GET /peer/v1/get/manifests/<digest>?…`, `/read/…` | the same of a manifest, whole |
 * | `GET /peer/v1/get/tags/<tag>?…` | what the tag points at, JSON; the receiver acts as the owner |
 * | `GET /peer/v1/read/tags/<tag>?…` | the same as the receiver has it written down |
 * | `POST /peer/v1/fetch` | a manifest that the receiver fetches by a lane of its own; the order is JSON |
 * | `POST /peer/v1/purge` | nothing; the order is JSON |
 * | `GET /peer/v1/hello` | who the receiver is, JSON |
 * | `GET /peer/v1/fills` | the fills that the receiver runs, JSON, for the admin API |
 * | `GET /peer/v1/quota` | the lanes that the receiver has, the same |
 * | `GET /peer/v1/admin/<view>[?…]` | what else the receiver's admin API tells of itself, the same |
 *
 * `Range: bytes=N-` asks for a blob from byte N on. What both ends say beside stands in one header of JSON each, and one for its MAC.
 */
export const wireVersion = 1;
export const targetPrefix = "/peer/v1/";
export const requestHeader = "pullring-peer-request";
export const answerHeader = "pullring-peer-answer";
export const macHeader = "pullring-peer-mac";

/** What a node tells of itself beside its fills and lanes; `query` is between the two admin APIs. */
const adminViews = ["cache", "images", "blob", "events"] as const;
export type AdminView = (typeof adminViews)[number];

export type PeerTarget =
  | { readonly kind: "hello" }
  | { readonly kind: "fetch" }
  | { readonly kind: "purge" }
  | { readonly kind: "fills" }
  | { readonly kind: "quota" }
  | { readonly kind: "admin"; readonly view: AdminView; readonly query: string }
  | { readonly kind: "blob"; readonly verb: PeerVerb; readonly repository: Repository; readonly digest: Digest }
  | { readonly kind: "manifest"; readonly verb: PeerVerb; readonly repository: Repository; readonly digest: Digest }
  | { readonly kind: "tag"; readonly verb: PeerVerb; readonly repository: Repository; readonly tag: Tag };

export type PeerMethod = "GET" | "HEAD" | "POST";

export function formatTarget(target: PeerTarget): string {
  if (target.kind === "admin") return formatAdmin(target);
  if (!("repository" in target)) return targetPrefix + target.kind;
  const query = queryOf(target.repository);
  if (target.kind === "tag") return `${targetPrefix}${target.verb}/tags/${target.tag}${query}`;
  return `${targetPrefix}${target.verb}/${target.kind}s/${target.digest}${query}`;
}

const formatAdmin = ({ view, query }: { view: AdminView; query: string }): string =>
  `${targetPrefix}admin/${view}${query === "" ? "" : `?${query}`}`;

const queryOf = ({ upstream, name }: Repository): string =>
  `?upstream=${encodeURIComponent(upstream)}&repository=${encodeURIComponent(name)}`;

const grammar = /^\/peer\/v1\/(get|read)\/(blobs|manifests|tags)\/([^/?#]+)\?upstream=([^&#]+)&repository=([^&#]+)$/;
/** A registry's canonical name: host, perhaps with a port. The table of upstreams decides whether there is one. */
const upstreamGrammar = /^[A-Za-z0-9.:[\]_-]{1,255}$/;

/** undefined: no verb of this version. */
export function parseTarget(method: string | undefined, raw: string): PeerTarget | undefined {
  if (method === "GET" && raw === `${targetPrefix}hello`) return { kind: "hello" };
  if (method === "GET" && raw === `${targetPrefix}fills`) return { kind: "fills" };
  if (method === "GET" && raw === `${targetPrefix}quota`) return { kind: "quota" };
  if (method === "POST" && raw === `${targetPrefix}purge`) return { kind: "purge" };
  if (method === "POST" && raw === `${targetPrefix}fetch`) return { kind: "fetch" };
  const admin = method === "GET" ? adminGrammar.exec(raw) : undefined;
  if (admin) return adminTarget(admin[1], admin[2]);
  const [, verb, collection, reference = "", upstream = "", name = ""] = grammar.exec(raw) ?? [];
  if (verb !== "get" && verb !== "read") return undefined;
  try {
    const repository = parseRepository({ upstream: decodeURIComponent(upstream), name: decodeURIComponent(name) });
    const target = targetOf(verb, collection, reference, repository);
    const isMethod = method === "GET" || (method === "HEAD" && target.kind === "blob" && verb === "read");
    return isMethod && formatTarget(target) === raw ? target : undefined;
  } catch {
    return undefined;
  }
}

const adminGrammar = /^\/peer\/v1\/admin\/([a-z]+)(?:\?([\w.*~%=&+-]{1,2000}))?$/;

function adminTarget(name: string | undefined, query = ""): PeerTarget | undefined {
  const view = adminViews.find((each) => each === name);
  return view && { kind: "admin", view, query };
}

function targetOf(
  verb: PeerVerb,
  collection: string | undefined,
  reference: string,
  repository: Repository,
): PeerTarget {
  if (collection !== "tags")
    return { kind: collection === "blobs" ? "blob" : "manifest", verb, repository, digest: parseDigest(reference) };
  return { kind: "tag", verb, repository, tag: parseTag(reference) };
}

/** Throws on anything that is none. */
function parseRepository({ upstream, name }: Record<keyof Repository, unknown>): Repository {
  if (typeof upstream !== "string" || !upstreamGrammar.test(upstream)) throw new Error("not an upstream");
  if (typeof name !== "string") throw new Error("not a name");
  return { upstream, name: parseName(name) };
}

function parseTag(text: string): Tag {
  const reference = parseReference(text);
  if (isDigestReference(reference)) throw new Error("not a tag");
  return reference;
}

const rangeGrammar = /^bytes=(0|[1-9]\d{0,15})-$/;

/** First byte wanted; undefined = not a range of this wire. */
export function parseOffset(range: string | undefined): number | undefined {
  if (range === undefined) return 0;
  const [, digits] = rangeGrammar.exec(range) ?? [];
  const offset = Number(digits);
  return digits !== undefined && Number.isSafeInteger(offset) ? offset : undefined;
}

/** Times cross as ages: the clocks of two nodes may be an hour apart. */
export function formatPurge({ repository, tag, digest, atMs }: PurgeOrder, nowMs: number): string {
  return JSON.stringify({ ...repository, tag, digest, agoMs: Math.round(nowMs - atMs) });
}

/** undefined = not an order. */
export function parsePurge(text: string, nowMs: number): PurgeOrder | undefined {
  try {
    const order = JSON.parse(text) as Record<string, unknown> | null;
    if (typeof order !== "object" || order === null) return undefined;
    const { upstream, name, tag, digest, agoMs } = order;
    const repository = upstream === undefined && name === undefined ? undefined : parseRepository({ upstream, name });
    const isOrder = repository !== undefined || (digest !== undefined && tag === undefined);
    if (!isOrder || !isAge(agoMs)) return undefined;
    return {
      ...(repository && { repository }),
      ...(tag !== undefined && { tag: parseTag(textOf(tag)) }),
      ...(digest !== undefined && { digest: parseDigest(textOf(digest)) }),
      atMs: nowMs - agoMs,
    };
  } catch {
    return undefined;
  }
}

export const formatOrder = ({ lane, repository, reference }: LaneOrder): string =>
  JSON.stringify({ lane, ...repository, reference });

/** Printable, as all names of lanes are. */
const laneGrammar = /^[\x21-\x7e]{1,300}$/;

/** undefined = not an order. */
export function parseOrder(text: string): LaneOrder | undefined {
  try {
    const order = JSON.parse(text) as Record<string, unknown> | null;
    if (typeof order !== "object" || order === null) return undefined;
    const { lane, upstream, name, reference } = order;
    if (typeof lane !== "string" || !laneGrammar.test(lane)) return undefined;
    return { lane, repository: parseRepository({ upstream, name }), reference: parseReference(textOf(reference)) };
  } catch {
    return undefined;
  }
}

function textOf(value: unknown): string {
  if (typeof value !== "string") throw new Error("not a text");
  return value;
}

const ageMsMax = 100 * 365 * 86_400_000;

/** Negative for what a clock that was set back has left in the future. */
export const isAge = (value: unknown): value is number =>
  typeof value === "number" && Number.isSafeInteger(value) && Math.abs(value) <= ageMsMax;
