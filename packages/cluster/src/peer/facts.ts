import type { Access, ErrorCode, Holding, LaneAnswer, NodeId, ResolvedTag, StaleReason, Told } from "@pullring/core";
import { parseDigest } from "@pullring/oci";

import { isAge } from "./wire.ts";

/** For whom a request is made: words for logs and traces, by which nothing is decided. */
export interface Cause {
  readonly requestId?: string;
  /** W3C Trace Context. */
  readonly traceparent?: string;
  readonly tracestate?: string;
}

/** What a request says of itself beside its target. */
export interface RequestFacts {
  readonly from: NodeId;
  /** Whom it is for; empty where only an address is known, which is enough for `hello`. */
  readonly to: NodeId;
  /** Host and port that were dialled: a receiver that is not known there has been fed a request meant for somebody else's address. */
  readonly host: string;
  /** The sender's ring. */
  readonly epoch: string;
  /** The receiver's start and its own monotonic time, as it told them last; empty and 0 before the first answer. */
  readonly boot: string;
  readonly timeMs: number;
  readonly nonce: string;
  readonly cause?: Cause;
}

/** Why a receiver does not even look at what is asked. */
export type Refusal = "clock" | "replayed" | "crowded" | "node" | "host" | "loop" | "verb" | "order";

export interface ErrorFacts {
  readonly code: ErrorCode;
  readonly reason: StaleReason;
  readonly retryAfterSec?: number;
}

/** What an answer says beside its status and length. Which of the optional ones are there depends on what was asked. */
export interface AnswerFacts {
  readonly from: NodeId;
  readonly epoch: string;
  readonly boot: string;
  readonly timeMs: number;
  readonly access?: Access;
  readonly mediaType?: string;
  readonly state?: Holding["state"];
  readonly bytes?: number;
  /** Of the whole blob. */
  readonly size?: number;
  /** Of the first byte that follows. */
  readonly offset?: number;
  /** SHA-256 of the body, where no digest that was asked for can vouch for it. */
  readonly bodyHash?: string;
  /** Of a manifest fetched for the asking node: what upstream named it, and what that did to the lane's budget. */
  readonly digest?: string;
  readonly outcome?: LaneAnswer["outcome"];
  readonly error?: ErrorFacts;
  readonly refusal?: Refusal;
}

/** Who answers at an address. */
export interface PeerHello {
  readonly id: NodeId;
  /** Another one for each start. */
  readonly incarnation: string;
  readonly epoch: string;
  readonly version: number;
}

/** A header takes ASCII only. */
export const formatFacts = (facts: RequestFacts | AnswerFacts | object): string =>
  JSON.stringify(facts).replace(/[^ -~]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);

const nodeGrammar = /^[\w.-]{1,64}$/;
const wordGrammar = /^[\w.-]{0,64}$/;
const hostGrammar = /^[\x21-\x7e]{1,300}$/;
const nonceGrammar = /^[\w-]{16,32}$/;

type Loose = Readonly<Record<string, unknown>>;
type Check<T> = (value: unknown) => value is T;

const isText =
  (grammar: RegExp): Check<string> =>
  (value): value is string =>
    typeof value === "string" && grammar.test(value);
const isOneOf =
  <T extends string>(...words: readonly T[]): Check<T> =>
  (value): value is T =>
    words.includes(value as T);
const isCount: Check<number> = (value): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isTime: Check<number> = (value): value is number => typeof value === "number" && Number.isFinite(value);
const optional =
  <T>(check: Check<T>): Check<T | undefined> =>
  (value): value is T | undefined =>
    value === undefined || check(value);

const isNode = isText(nodeGrammar);
const isWord = isText(wordGrammar);
const isAccess = isOneOf<Access>("public", "linked");
const isReason = isOneOf<StaleReason>("down", "throttled", "timeout", "refused");
const isMediaType = isText(/^[\x20-\x7e]{1,255}$/);
const isDigest = isText(/^sha(?:256:[0-9a-f]{64}|512:[0-9a-f]{128})$/);
const isTold = (value: unknown): value is Told => {
  const { limit, remaining, windowSec } = (value ?? {}) as Loose;
  return [limit, remaining, windowSec].every(isCount);
};
const isOutcome: Check<LaneAnswer["outcome"]> = (value): value is LaneAnswer["outcome"] =>
  value === "spent" || isTold(value);
const isRefusal = isOneOf<Refusal>("clock", "replayed", "crowded", "node", "host", "loop", "verb", "order");
const isCode = isOneOf<ErrorCode>(
  "missing",
  "denied",
  "throttled",
  "unavailable",
  "unsupported",
  "cut",
  "corrupt",
  "too_large",
  "busy",
);

function parseObject(text: string): Loose | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Loose) : undefined;
  } catch {
    return undefined;
  }
}

/** undefined = not what a request of this wire says. */
export function parseRequestFacts(text: string): RequestFacts | undefined {
  const found = parseObject(text);
  if (!found) return undefined;
  const { from, to, host, epoch, boot, timeMs, nonce } = found;
  const cause = causeOf(found["cause"]);
  const isWho = isNode(from) && (to === "" || isNode(to)) && isText(hostGrammar)(host) && isWord(epoch);
  if (!isWho || !isWord(boot) || !isTime(timeMs) || !isText(nonceGrammar)(nonce)) return undefined;
  return { from, to, host, epoch, boot, timeMs, nonce, ...(cause && { cause }) };
}

const isRequestId = isText(/^[\w.-]{1,128}$/);
/** Version 00; ids of zeros only are none. */
const isTraceparent = isText(/^00-(?!0{32})[\da-f]{32}-(?!0{16})[\da-f]{16}-[\da-f]{2}$/);
const isTracestate = isText(/^[\x20-\x7e]{1,512}$/);

/** What is not in form is left out: no request fails by it. */
function causeOf(found: unknown): Cause | undefined {
  const { requestId, traceparent, tracestate } = (found ?? {}) as Loose;
  const cause = {
    ...(isRequestId(requestId) && { requestId }),
    ...(isTraceparent(traceparent) && { traceparent }),
    ...(isTraceparent(traceparent) && isTracestate(tracestate) && { tracestate }),
  };
  return Object.keys(cause).length > 0 ? cause : undefined;
}

/** undefined = not what an answer of this wire says. */
export function parseAnswerFacts(text: string): AnswerFacts | undefined {
  const found = parseObject(text);
  if (!found) return undefined;
  const { from, epoch, boot, timeMs } = found;
  if (!isNode(from) || !isWord(epoch) || !isWord(boot) || !isTime(timeMs)) return undefined;
  const { access, mediaType, state, bytes, size, offset, bodyHash, digest, outcome, refusal } = found;
  const isFit =
    optional(isAccess)(access) &&
    optional(isMediaType)(mediaType) &&
    optional(isOneOf<Holding["state"]>("whole", "growing", "partial"))(state) &&
    [bytes, size, offset].every(optional(isCount)) &&
    optional(isWord)(bodyHash) &&
    optional(isDigest)(digest) &&
    optional(isOutcome)(outcome) &&
    optional(isRefusal)(refusal);
  const error = found["error"] === undefined ? undefined : errorFactsOf(found["error"] as Loose);
  return isFit ? ({ ...found, ...(error && { error }) } as unknown as AnswerFacts) : undefined;
}

/** A code that this version does not know is somebody's failure, never a "missing". */
function errorFactsOf(found: Loose | null): ErrorFacts {
  const { code, reason, retryAfterSec } = found ?? {};
  return {
    code: isCode(code) ? code : "unavailable",
    reason: isReason(reason) ? reason : "down",
    ...(isCount(retryAfterSec) && { retryAfterSec }),
  };
}

export function parseHello(text: string): PeerHello | undefined {
  const { id, incarnation, epoch, version } = parseObject(text) ?? {};
  return isNode(id) && isWord(incarnation) && isWord(epoch) && isCount(version)
    ? { id, incarnation, epoch, version }
    : undefined;
}

/** The record's time crosses as an age. */
export function formatResolved({ record, stale }: ResolvedTag, nowMs: number): string {
  const { digest, mediaType, size, access, checkedAt } = record;
  return JSON.stringify({ digest, mediaType, size, access, ageMs: Math.round(nowMs - checkedAt), stale });
}

export function parseResolved(text: string, nowMs: number): ResolvedTag | undefined {
  const { digest, mediaType, size, access, ageMs, stale } = parseObject(text) ?? {};
  const isFit = optional(isMediaType)(mediaType) && optional(isCount)(size) && isAccess(access) && isAge(ageMs);
  if (!isFit || typeof digest !== "string") return undefined;
  try {
    const record = {
      digest: parseDigest(digest),
      ...(mediaType !== undefined && { mediaType }),
      ...(size !== undefined && { size }),
      access,
      checkedAt: nowMs - ageMs,
    };
    if (stale === undefined) return { record };
    const { reason, ageSec, overdueSec } = (stale ?? {}) as Loose;
    return isReason(reason) && isCount(ageSec) && isCount(overdueSec)
      ? { record, stale: { reason, ageSec, overdueSec } }
      : undefined;
  } catch {
    return undefined;
  }
}
