import { AsyncLocalStorage } from "node:async_hooks";
import type { IncomingHttpHeaders } from "node:http";

import { hasCode, type Clock } from "@pullring/core";
import { errors, type Dispatcher } from "undici";

import type { HostOutcome } from "./breaker.ts";
import { makeIntake, type BodySink, type Intake } from "./intake.ts";
import { limits } from "./limits.ts";
import type { Pace } from "./pace.ts";
import { makeWatch, type Watch } from "./watch.ts";
import { WireError } from "./wire-error.ts";

export interface Head {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
}

export interface WireRequest {
  readonly url: URL;
  readonly method: "GET" | "HEAD";
  /** All that goes up, beside Host and Connection. */
  readonly headers: Readonly<Record<string, string>>;
  /** Blobs use connections of their own, so that nothing small waits behind them. */
  readonly bulk: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** Decides by the head what becomes of the body: a sink takes it, undefined discards it. A throw ends the exchange with that error. */
export type OnHead = (head: Head) => BodySink | undefined;

export interface ExchangeOptions {
  readonly dispatcher: Pick<Dispatcher, "dispatch">;
  readonly request: WireRequest;
  readonly onHead: OnHead;
  readonly clock: Clock;
  readonly pace: Pace;
  /** Called once: what this says about the host. */
  readonly onOutcome: (outcome: HostOutcome) => void;
}

/** One exchange on its way. */
interface Run extends ExchangeOptions {
  readonly watch: Watch;
  readonly resolve: (head: Head) => void;
  readonly reject: (error: unknown) => void;
  readonly onAbort: () => void;
  controller?: Dispatcher.DispatchController;
  head?: Head;
  intake?: Intake;
  over: boolean;
}

/**
 * One request, one answer, no redirect followed. Resolves with the head after the last byte, or at once when the body is
 * discarded. Rejects with WireError, the signal's reason, or what `onHead` or the sink threw.
 */
export function exchange(options: ExchangeOptions): Promise<Head> {
  const { dispatcher, clock, request } = options;
  const { url, method, headers, signal } = request;
  const { promise, resolve, reject } = Promise.withResolvers<Head>();
  const watch = makeWatch(clock, (error) => fail(run, error));
  const onAbort = (): void => fail(run, signal?.reason);
  const run: Run = { ...options, watch, resolve, reject, onAbort, over: false };
  signal?.addEventListener("abort", onAbort, { once: true });
  const order = { origin: url.origin, path: url.pathname + url.search, method, headers: { ...headers } };
  try {
    dispatcher.dispatch(order, handlerOf(run));
  } catch (error) {
    fail(run, error);
  }
  return promise;
}

/** undici keeps on calling after an abort; then nothing counts any more. */
function handlerOf(run: Run): Dispatcher.DispatchHandler {
  // A connection calls back in the context of the request that it was opened for.
  const inContext = AsyncLocalStorage.snapshot();
  const attempt = (step: () => void): void => {
    if (run.over) return;
    try {
      inContext(step);
    } catch (error) {
      fail(run, error);
    }
  };
  return {
    onRequestStart(controller) {
      run.controller = controller;
      if (run.over) controller.abort(new Error("given up before it was sent"));
      else run.watch.sent();
    },
    onResponseStart(_, status, headers) {
      if (status >= 200) attempt(() => begin(run, { status, headers }));
    },
    onResponseData: (_, chunk) => attempt(() => take(run, chunk)),
    onResponseEnd: () => attempt(() => end(run)),
    onResponseError: (_, error) => fail(run, wireErrorOf(error, run)),
  };
}

function begin(run: Run, head: Head): void {
  run.head = head;
  run.watch.headed();
  run.onOutcome("answered");
  const sink = run.onHead(head);
  if (!sink) return discard(run, head);
  run.intake = makeIntake({
    sink,
    pace: run.pace,
    hold: () => (run.watch.hold(), run.controller?.pause()),
    release: () => (run.watch.release(), run.controller?.resume()),
    onFail: (error) => fail(run, error),
  });
}

/** The rest of a small body is read, to keep the connection for the next request. */
function discard(run: Run, head: Head): void {
  run.resolve(head);
  const length = Number(head.headers["content-length"] ?? Number.NaN);
  if (run.request.method === "HEAD" || length <= limits.discardBytesMax) return;
  finish(run);
  run.controller?.abort(new Error("body not wanted"));
}

function take(run: Run, chunk: Buffer): void {
  // undici's parser hands over an empty piece whenever it goes on after a pause: to wait for the sink again would never end.
  if (chunk.length === 0) return;
  run.watch.received(chunk.length);
  run.intake?.take(chunk);
}

function end(run: Run): void {
  run.watch.stop();
  const done = (): void => {
    finish(run);
    if (run.head) run.resolve(run.head);
  };
  if (run.intake) run.intake.whenWritten(done);
  else done();
}

function fail(run: Run, error: unknown): void {
  if (run.over) return;
  finish(run);
  run.intake?.stop();
  if (!run.head) run.onOutcome(outcomeOf(error, run.controller !== undefined));
  run.reject(error);
  run.controller?.abort(error instanceof Error ? error : new Error("given up"));
}

function finish(run: Run): void {
  run.over = true;
  run.watch.stop();
  run.request.signal?.removeEventListener("abort", run.onAbort);
}

function outcomeOf(error: unknown, sent: boolean): HostOutcome {
  if (error instanceof WireError) {
    if (error.fault === "unparsable") return "answered";
    if (error.fault === "unreachable") return "unreachable";
    return error.fault === "silent" && sent ? "silent" : "unknown";
  }
  // A caller's deadline that passed while we waited for the head.
  return sent && hasCode(error, "unavailable") && error.reason === "timeout" ? "silent" : "unknown";
}

/** undici's errors may hold what upstream sent, signed addresses included: only their codes go on. */
function wireErrorOf(error: Error, { request, controller, head }: Run): WireError {
  if (error instanceof WireError) return error;
  const code = "code" in error && typeof error.code === "string" ? error.code : error.name;
  const message = `${request.url.host}: ${code}`;
  if (!controller) return new WireError("unreachable", message);
  if (head) return new WireError("cut", message);
  if (error instanceof errors.HTTPParserError)
    return new WireError("unparsable", message, "data" in error ? String(error.data) : "");
  return error instanceof errors.HeadersOverflowError
    ? new WireError("unparsable", message)
    : new WireError("reset", message);
}
