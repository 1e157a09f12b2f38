import { hasCode, PullringError, type StaleReason } from "./errors.ts";
import { limits } from "./limits.ts";
import type { Access, Clock } from "./ports.ts";

/** A record that ages: a tag's digest, a list of tags, an index of referrers. */
export interface Aging {
  /** Wall ms of the last answer from upstream that confirmed it. */
  readonly checkedAt: number;
  readonly access: Access;
}

export interface Stale {
  readonly reason: StaleReason;
  readonly ageSec: number;
  /** How long ago its window ended; at least 1. */
  readonly overdueSec: number;
}

export interface FreshnessOptions {
  readonly clock: Clock;
  readonly staleIfErrorMs: number;
  readonly freshMs: number;
}

export const ageMs = (record: Aging, clock: Clock): number => Math.max(0, clock.now() - record.checkedAt);

/** A record from the future (a clock that was set back) counts as old: else it would be fresh until then. */
export const isFresh = (record: Aging, freshMs: number, clock: Clock): boolean =>
  record.checkedAt <= clock.now() && clock.now() - record.checkedAt < freshMs;

/**
 * What to do when upstream could not be asked: the old record while it may still be served, else the error. "Not there" and
 * wrong bytes are answers, not failures, and go through.
 */
export function staleOr(record: Aging | undefined, error: unknown, options: FreshnessOptions): Stale {
  if (!record || !hasCode(error, "unavailable", "throttled", "cut", "busy", "corrupt")) throw error;
  if (ageMs(record, options.clock) > options.staleIfErrorMs) throw error;
  return staleSince(record, error.reason, options);
}

export function staleSince(record: Aging, reason: StaleReason, { clock, freshMs }: FreshnessOptions): Stale {
  const age = ageMs(record, clock);
  return { reason, ageSec: Math.floor(age / 1000), overdueSec: Math.max(1, Math.floor((age - freshMs) / 1000)) };
}

/** How long upstream is waited for: short when there is a record to fall back on. */
export const checkMs = (hasRecord: boolean): number => (hasRecord ? limits.freshnessCheckMs : limits.coldCheckMs);

/** Waits for `ask` so long at most; its signal aborts then. */
export async function withDeadline<T>(clock: Clock, ms: number, ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const ended = new AbortController();
  const deadline = new AbortController();
  const late = clock.sleep(ms, ended.signal).then(() => {
    const error = new PullringError("unavailable", `no answer within ${ms} ms`, { reason: "timeout" });
    deadline.abort(error);
    throw error;
  });
  try {
    return await Promise.race([ask(deadline.signal), late]);
  } finally {
    ended.abort();
  }
}
