import type { Clock } from "@pullring/core";

import { limits } from "./limits.ts";
import { S3Error, type S3ErrorKind } from "./s3-error.ts";

/**
 * The breaker. Three failures in a row close the way to the service, one silence does at once; then a probe of its own asks every
 * second whether it answers again, so that no pull pays for finding out.
 */
export interface Gate {
  /** Why nothing goes out now. */
  readonly shutFor: string | undefined;
  /** Throws `closed` while nothing goes out. */
  enter(): void;
  /** Tells how a request ended; undefined = answered. */
  settle(error: S3Error | undefined): void;
  /** Resolves when requests go out again. */
  open(signal: AbortSignal): Promise<void>;
}

export interface GateOptions {
  readonly clock: Clock;
  /** Rejects unless the service answers. Not through this gate. */
  readonly probe: () => Promise<void>;
  readonly onTurn: (shutFor: string | undefined) => void;
  readonly signal: AbortSignal;
}

const failures: ReadonlySet<S3ErrorKind> = new Set(["busy", "failed", "silent", "late", "stalled"]);

export function makeGate({ clock, probe, onTurn, signal }: GateOptions): Gate {
  let failed = 0;
  let shutFor: string | undefined;
  let opened = Promise.withResolvers<void>();

  async function watch(): Promise<void> {
    while (shutFor !== undefined) {
      await clock.sleep(limits.probeEveryMs, signal);
      await probe().then(open, () => {});
    }
  }

  function open(): void {
    failed = 0;
    shutFor = undefined;
    onTurn(undefined);
    opened.resolve();
  }

  function shut(reason: string): void {
    shutFor = reason;
    opened = Promise.withResolvers<void>();
    onTurn(reason);
    // Ends by the signal only.
    watch().catch(() => {});
  }

  return {
    get shutFor() {
      return shutFor;
    },
    enter() {
      if (shutFor !== undefined) throw new S3Error("closed", `S3 is not asked: ${shutFor}`);
    },
    settle(error) {
      if (shutFor !== undefined || error?.kind === "abandoned" || error?.kind === "closed") return;
      failed = error && failures.has(error.kind) ? failed + 1 : 0;
      if (error && (failed >= limits.failuresMax || error.kind === "silent")) shut(error.message);
    },
    async open(until) {
      while (shutFor !== undefined) await orAbort(opened.promise, until);
    },
  };
}

/** The promise's value, or the signal's reason as soon as it aborts. */
export async function orAbort<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
