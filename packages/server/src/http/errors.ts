import { hasCode, PullringError, type ErrorCode } from "@pullring/core";
import { errorBody, OciError, type OciErrorCode } from "@pullring/oci";

/** What the answer to a failed request is. The only place that knows statuses. */
export interface ErrorAnswer {
  readonly status: number;
  readonly code: OciErrorCode;
  readonly message: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly outcome: Outcome;
}

/** How a response ended, for metrics and the log; every response has exactly one. */
export type Outcome =
  | "ok"
  | "joined"
  | "stale"
  | "not_modified"
  | "missing"
  | "refused"
  | "throttled"
  | "denied"
  | "invalid"
  | "failed"
  | "cut";

export type Route = "ping" | "manifest" | "blob" | "tags" | "referrers" | "other";

/** What clients are told when nothing is cached and upstream refuses: go there yourself, or wait. */
export type Fallback = "direct" | "hold";

/** Refused by the server itself, before the cache was asked. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly kind: "unauthorized" | "network" | "too_many_failures" | "method" | "path";
  readonly retryAfterSec: number | undefined;

  constructor(kind: Refusal["kind"], message: string, retryAfterSec?: number) {
    super(message);
    this.kind = kind;
    this.retryAfterSec = retryAfterSec;
  }
}

type Row = readonly [status: number, code: OciErrorCode, outcome: Outcome];

const refusals: Readonly<Record<Refusal["kind"], Row>> = {
  unauthorized: [401, "UNAUTHORIZED", "denied"],
  network: [403, "DENIED", "denied"],
  too_many_failures: [429, "TOOMANYREQUESTS", "throttled"],
  method: [405, "UNSUPPORTED", "invalid"],
  path: [404, "UNSUPPORTED", "invalid"],
};

const grammar: Readonly<Partial<Record<OciErrorCode, Row>>> = {
  NAME_UNKNOWN: [404, "NAME_UNKNOWN", "missing"],
  TAG_INVALID: [400, "MANIFEST_INVALID", "invalid"],
  UNSUPPORTED: [405, "UNSUPPORTED", "invalid"],
};

/** Codes whose answer does not depend on the fallback. */
const certain: Readonly<Partial<Record<ErrorCode, { readonly status: number; readonly outcome: Outcome }>>> = {
  missing: { status: 404, outcome: "missing" },
  denied: { status: 404, outcome: "denied" },
  too_large: { status: 404, outcome: "refused" },
  unsupported: { status: 404, outcome: "missing" },
};

const challenge = 'Basic realm="pullring", charset="UTF-8"';

/** Seconds that a client is asked to wait under `fallback: hold`: podman sleeps on it up to 60 s, containerd asks on. */
const holdSecMax = 5;

export function answerTo(error: unknown, route: Route, fallback: Fallback): ErrorAnswer {
  if (error instanceof Refusal) {
    const answer = fromRow(refusals[error.kind], error.message, error.retryAfterSec);
    return error.kind === "unauthorized" ? { ...answer, headers: { "www-authenticate": challenge } } : answer;
  }
  if (error instanceof OciError) return fromRow(grammar[error.code] ?? [400, error.code, "invalid"], error.message);
  if (hasCode(error, "busy"))
    return fromRow([429, "TOOMANYREQUESTS", "throttled"], error.message, error.retryAfterSec ?? 2);
  const known = error instanceof PullringError ? certain[error.code] : undefined;
  if (known) return fromRow([known.status, missingCode(route), known.outcome], (error as Error).message);
  return upstreamFailed(error, route, fallback);
}

const missingCode = (route: Route): OciErrorCode =>
  route === "blob"
    ? "BLOB_UNKNOWN"
    : route === "manifest" || route === "referrers"
      ? "MANIFEST_UNKNOWN"
      : "NAME_UNKNOWN";

/**
 * Clients then try upstream themselves. A manifest's 503 makes every client move on at once; a blob's 404 does, where a 5xx
 * costs Docker's classic puller 50 s and makes older podman fail.
 */
function upstreamFailed(error: unknown, route: Route, fallback: Fallback): ErrorAnswer {
  const ours = !(error instanceof PullringError);
  const message = ours ? "an error of this cache; its log tells more" : error.message;
  const outcome: Outcome = ours || error.code !== "throttled" ? "failed" : "throttled";
  const retryAfterSec = ours ? undefined : error.retryAfterSec;
  if (fallback === "hold" && !ours)
    return fromRow([429, "TOOMANYREQUESTS", outcome], message, Math.min(retryAfterSec ?? holdSecMax, holdSecMax));
  return fromRow(route === "blob" ? [404, "BLOB_UNKNOWN", outcome] : [503, "UNAVAILABLE", outcome], message);
}

function fromRow([status, code, outcome]: Row, message: string, retryAfterSec?: number): ErrorAnswer {
  const headers: Record<string, string> = {};
  if (retryAfterSec !== undefined) headers["retry-after"] = String(Math.max(1, Math.ceil(retryAfterSec)));
  return { status, code, message, outcome, headers };
}

export const renderError = ({ code, message }: ErrorAnswer): Buffer => Buffer.from(errorBody(code, message));
