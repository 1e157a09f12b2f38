import type { S3Client } from "@aws-sdk/client-s3";
import type { Clock } from "@pullring/core";

import { orAbort, type Gate } from "./gate.ts";
import { limits } from "./limits.ts";
import type { RetryBudget } from "./retry-budget.ts";
import { asS3Error, isKind, S3Error } from "./s3-error.ts";

export interface ExchangeOptions {
  readonly s3: S3Client;
  readonly gate: Gate;
  readonly budget: RetryBudget;
  readonly clock: Clock;
  readonly random: () => number;
  /** Aborts everything. */
  readonly signal: AbortSignal;
}

export interface Asking {
  /** For the head of the answer, all attempts together (each, of a patient one). Infinity where a body goes up: it is watched. */
  readonly withinMs?: number;
  readonly attemptsMax?: number;
  readonly signal?: AbortSignal;
  /** Waits for a service that does not answer and for the budget, instead of rejecting. */
  readonly isPatient?: boolean;
}

/** Sends requests: through the breaker, within a deadline, again within the budget. Rejects with S3Error. */
export interface Exchange {
  /** `discard` frees an answer that comes after its deadline. */
  ask<T>(send: Sender<T>, asking?: Asking, discard?: (answer: T) => void): Promise<T>;
  /** Tells the breaker how a body ended that came after its head. */
  settle(error: S3Error): void;
}

export function makeExchange(options: ExchangeOptions): Exchange {
  const { gate, budget, clock, random } = options;

  async function ask<T>(send: Sender<T>, asking: Asking = {}, discard?: (answer: T) => void): Promise<T> {
    const { withinMs = Infinity, attemptsMax = 1, isPatient = false } = asking;
    const signal = asking.signal ? AbortSignal.any([options.signal, asking.signal]) : options.signal;
    let deadline = clock.monotonic() + withinMs;
    for (let attempt = 1; ; attempt += 1) {
      if (isPatient) {
        await gate.open(signal).catch(toS3Error);
        deadline = clock.monotonic() + withinMs;
      }
      gate.enter();
      budget.spend();
      try {
        const leftMs = deadline - clock.monotonic();
        const answer = await once(options.s3, send, { clock, signal, withinMs: leftMs, discard });
        gate.settle(undefined);
        return answer;
      } catch (error) {
        const failure = asS3Error(error);
        gate.settle(failure);
        const pauseMs = random() * Math.min(limits.retryPauseMsMax, limits.retryPauseMs * 2 ** attempt);
        const isLate = !isPatient && clock.monotonic() + pauseMs >= deadline;
        if (attempt >= attemptsMax || isLate || !isPassing(failure)) throw failure;
        await clock.sleep(pauseMs, signal).catch(toS3Error);
        while (!budget.retry()) {
          if (!isPatient) throw failure;
          await clock.sleep(limits.retryPauseMsMax * random(), signal).catch(toS3Error);
        }
      }
    }
  }

  return { ask, settle: (error) => gate.settle(error) };
}

export type Sender<T> = (s3: S3Client, signal: AbortSignal) => Promise<T>;

const isPassing = (error: S3Error): boolean => isKind(error, "busy", "failed", "silent", "stalled", "conflict");

function toS3Error(error: unknown): never {
  throw isKind(error, "stalled", "silent", "late") ? error : new S3Error("abandoned", "given up", error);
}

interface Once<T> {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly withinMs: number;
  readonly discard: ((answer: T) => void) | undefined;
}

/** One attempt. The SDK can't be trusted with the deadline: its sources of credentials do not hear of signals. */
export async function once<T>(
  s3: S3Client,
  send: Sender<T>,
  { clock, signal, withinMs, discard }: Once<T>,
): Promise<T> {
  const late = new AbortController();
  const answered = new AbortController();
  if (withinMs < Infinity) {
    const kind = withinMs < limits.firstByteMs / 2 ? "late" : "silent";
    const tooLate = (): void => late.abort(new S3Error(kind, `no answer within ${Math.round(withinMs)} ms`));
    clock.sleep(withinMs, answered.signal).then(tooLate, () => {});
  }
  const either = AbortSignal.any([signal, late.signal]);
  const sending = send(s3, either);
  try {
    return await orAbort(sending, either);
  } catch (error) {
    if (!either.aborted) throw error;
    sending.then(discard, () => {});
    return toS3Error(either.reason);
  } finally {
    answered.abort();
  }
}
