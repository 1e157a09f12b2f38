import type { Clock } from "@pullring/core";
import { pino, type DestinationStream } from "pino";

import type { LogLevel } from "../config/config.ts";
import type { Outcome, Route } from "../http/errors.ts";
import type { Tier } from "../http/exchange.ts";

import { makeLineWriter } from "./line-writer.ts";
import { scrub, scrubText } from "./scrub.ts";

type Facts = Readonly<Record<string, unknown>>;
type LogLine = (facts: Facts, message: string) => void;

export interface Log {
  readonly debug: LogLine;
  readonly info: LogLine;
  readonly warn: LogLine;
  readonly error: LogLine;
}

/** What is told about one request at its end. No field is a client's free text: names, references and ids have passed a grammar. */
export interface RequestFacts {
  readonly client: string;
  readonly user?: string | undefined;
  readonly method: string;
  readonly upstream?: string | undefined;
  readonly name?: string | undefined;
  readonly reference?: string | undefined;
  readonly route: Route;
  readonly tier: Tier;
  readonly outcome: Outcome;
  readonly status: number;
  readonly bytes: number;
  readonly ms: number;
  /** Until the status line was written. */
  readonly ttfbMs?: number | undefined;
  readonly requestId: string;
  /** Why it did not end well. */
  readonly error?: unknown;
}

export interface ProcessLog extends Log {
  readonly requestLine: (facts: RequestFacts) => void;
  /** Resolves when all lines so far have left the process, or can't. */
  flush(): Promise<void>;
}

export interface LogOptions {
  readonly level: LogLevel;
  readonly clock: Pick<Clock, "now">;
  /** Standard output unless told otherwise. */
  readonly destination?: DestinationStream;
}

/** JSON lines. Whatever is logged is scrubbed of secrets first, but for the line of a request, which can't hold any. */
export function makeLog({ level, clock, destination }: LogOptions): ProcessLog {
  const onLost = (lines: number): void =>
    log.warn({ lines }, "lines of this log were lost: they could not be written in time");
  const out = destination ?? standardOutput(onLost);
  const time = makeTime(clock);
  const log = pino(
    {
      level,
      base: null,
      timestamp: () => `,"time":"${time()}"`,
      formatters: { level: (label) => ({ level: label }) },
      // Errors are scrubbed already.
      serializers: { err: (error: unknown) => error },
    },
    out,
  );
  const lineOf =
    (severity: keyof Log): LogLine =>
    (facts, message) => {
      if (log.isLevelEnabled(severity)) log[severity](scrub(facts), scrubText(message));
    };
  return {
    debug: lineOf("debug"),
    info: lineOf("info"),
    warn: lineOf("warn"),
    error: lineOf("error"),
    requestLine(facts) {
      if (log.isLevelEnabled("info")) out.write(`${JSON.stringify(requestLineOf(facts, time()))}\n`);
    },
    flush: () => new Promise((resolve) => log.flush(() => resolve())),
  };
}

/** In pino's form but not through pino, which takes three times as long for it: with thousands of requests a second that shows. */
function requestLineOf({ error, ms, ttfbMs, ...facts }: RequestFacts, time: string): object {
  return {
    level: "info",
    time,
    ...facts,
    ms: tenths(ms),
    ttfbMs: ttfbMs === undefined ? undefined : tenths(ttfbMs),
    error: error === undefined ? undefined : reasonOf(error),
    msg: "request",
  };
}

/** ISO 8601, made once a millisecond. */
function makeTime(clock: Pick<Clock, "now">): () => string {
  let at = Number.NaN;
  let text = "";
  return () => {
    const now = Math.trunc(clock.now());
    if (now !== at) text = new Date(now).toISOString();
    at = now;
    return text;
  };
}

const tenths = (ms: number): number => Math.round(ms * 10) / 10;

const reasonOf = (error: unknown): string => scrubText(error instanceof Error ? error.message : String(error));

function standardOutput(onLost: (lines: number) => void): DestinationStream {
  const writer = makeLineWriter({ fd: process.stdout.fd, onLost });
  process.once("exit", () => writer.exit());
  return writer;
}
