/**
 * What can go wrong, by what it means to whoever waits for the answer. Statuses are the server's business.
 *
 * | code | meaning |
 * |---|---|
 * | missing | upstream says it is not there, or not for us (404, 403, 401 after a good token) |
 * | denied | our own rules refuse this client, in the same words as `missing` so that they tell nothing |
 * | throttled | upstream's 429, or a cool-down that such an answer began |
 * | unavailable | upstream is down, too slow, failing, offline, or refuses our credentials |
 * | unsupported | upstream does not know this request (HEAD, referrers) |
 * | cut | a body ended, stalled or broke before its end |
 * | corrupt | bytes that do not hash to their digest, or that are not what was declared |
 * | too_large | above a limit of ours |
 * | busy | our own fill limits are reached |
 * | unreachable | a peer refused the connection, was silent, or hung up before its answer |
 */
export type ErrorCode =
  | "missing"
  | "denied"
  | "throttled"
  | "unavailable"
  | "unsupported"
  | "cut"
  | "corrupt"
  | "too_large"
  | "busy"
  | "unreachable";

/** Why a stale record was served (the `reason` label of pullring_stale_total). */
export type StaleReason = "down" | "throttled" | "timeout" | "refused";

export interface ErrorFacts {
  readonly cause?: unknown;
  /** Seconds after which asking again makes sense. */
  readonly retryAfterSec?: number;
  /** For `unavailable`; `down` unless told. */
  readonly reason?: StaleReason;
}

export class PullringError extends Error {
  override readonly name = "PullringError";
  readonly code: ErrorCode;
  readonly retryAfterSec: number | undefined;
  readonly reason: StaleReason;

  constructor(code: ErrorCode, message: string, facts: ErrorFacts = {}) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.code = code;
    this.retryAfterSec = facts.retryAfterSec;
    this.reason = facts.reason ?? (code === "throttled" ? "throttled" : "down");
  }
}

export const hasCode = (error: unknown, ...codes: readonly ErrorCode[]): error is PullringError =>
  error instanceof PullringError && codes.includes(error.code);
