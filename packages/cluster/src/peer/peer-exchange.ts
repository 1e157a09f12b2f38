import { AsyncLocalStorage } from "node:async_hooks";
import type { IncomingHttpHeaders } from "node:http";

import type { Clock } from "@pullring/core";
import { errors, type Dispatcher } from "undici";

import { PeerFault } from "./peer-fault.ts";
import { makePeerWatch, type PeerWatch } from "./peer-watch.ts";
import type { PeerMethod } from "./wire.ts";

export interface PeerHead {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
}

/** Takes the bytes of one body. A returned promise holds the peer back; the chunk is the caller's again when this returns. */
export type TakeChunk = (chunk: Uint8Array) => void | Promise<void>;

export interface PeerExchangeOptions {
  readonly dispatcher: Pick<Dispatcher, "dispatch">;
  readonly order: {
    readonly origin: string;
    readonly path: string;
    readonly method: PeerMethod;
    readonly headers: Record<string, string>;
    readonly body?: string;
  };
  readonly clock: Clock;
  readonly headMs: number;
  readonly isAlive?: (() => Promise<boolean>) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Decides by the head who takes the body. A throw ends the exchange with that error. */
  readonly onHead: (head: PeerHead) => TakeChunk;
}

/** One request, one answer. Resolves after the last byte has been taken. Rejects with PeerFault, the signal's reason, or what `onHead` or the taker threw. */
export function exchangeWithPeer(options: PeerExchangeOptions): Promise<void> {
  return new Promise((resolve, reject) => new Exchange(options, { resolve, reject }).start());
}

class Exchange {
  readonly #options: PeerExchangeOptions;
  readonly #settle: { resolve: () => void; reject: (error: unknown) => void };
  readonly #watch: PeerWatch;
  /** A connection calls back in the context of the request that it was opened for. */
  readonly #inContext = AsyncLocalStorage.snapshot();
  readonly #onAbort = (): void => this.#fail(this.#options.signal?.reason);
  /** What came while the taker was busy: no more than the socket had read by then. */
  readonly #queue: Uint8Array[] = [];
  #controller: Dispatcher.DispatchController | undefined;
  #take: TakeChunk | undefined;
  #isBusy = false;
  #isComplete = false;
  #isOver = false;

  constructor(options: PeerExchangeOptions, settle: { resolve: () => void; reject: (error: unknown) => void }) {
    const { clock, headMs, isAlive } = options;
    this.#options = options;
    this.#settle = settle;
    const onLate = (fault: PeerFault): void => this.#fail(fault);
    this.#watch = makePeerWatch({ clock, headMs, onLate, ...(isAlive && { isAlive }) });
  }

  start(): void {
    const { dispatcher, order, signal } = this.#options;
    if (signal?.aborted) return this.#onAbort();
    signal?.addEventListener("abort", this.#onAbort, { once: true });
    try {
      dispatcher.dispatch({ ...order, body: order.body ?? null }, this.#handler());
    } catch (error) {
      this.#fail(error);
    }
  }

  /** undici keeps on calling after an abort; then nothing counts any more. */
  #handler(): Dispatcher.DispatchHandler {
    return {
      onRequestStart: (controller) => {
        this.#controller = controller;
        if (this.#isOver) controller.abort(new Error("given up before it was sent"));
        else this.#watch.sent();
      },
      onResponseStart: (_, status, headers) => {
        if (status >= 200) this.#attempt(() => this.#begin({ status, headers }));
      },
      onResponseData: (_, chunk) => this.#attempt(() => this.#receive(chunk)),
      onResponseEnd: () => {
        this.#isComplete = true;
        this.#watch.stop();
        if (!this.#isBusy) this.#finish();
      },
      onResponseError: (_, error) => this.#fail(this.#faultOf(error)),
    };
  }

  #attempt(step: () => void): void {
    if (this.#isOver) return;
    try {
      this.#inContext(step);
    } catch (error) {
      this.#fail(error);
    }
  }

  #begin(head: PeerHead): void {
    this.#watch.headed();
    this.#take = this.#options.onHead(head);
  }

  #receive(chunk: Uint8Array): void {
    // undici's parser hands over an empty piece whenever it goes on after a pause.
    if (chunk.length === 0) return;
    this.#watch.received();
    if (this.#isBusy) {
      this.#queue.push(Buffer.from(chunk));
      return;
    }
    const waiting = this.#take?.(chunk);
    if (waiting) this.#drain(waiting).catch((error: unknown) => this.#fail(error));
  }

  async #drain(waiting: Promise<void>): Promise<void> {
    this.#isBusy = true;
    this.#watch.hold();
    this.#controller?.pause();
    await waiting;
    for (let chunk = this.#queue.shift(); chunk && !this.#isOver; chunk = this.#queue.shift())
      await this.#take?.(chunk);
    if (this.#isOver) return;
    this.#isBusy = false;
    if (this.#isComplete) return this.#finish();
    this.#watch.release();
    this.#controller?.resume();
  }

  #finish(): void {
    if (this.#isOver) return;
    this.#end();
    this.#settle.resolve();
  }

  #fail(error: unknown): void {
    if (this.#isOver) return;
    this.#end();
    this.#settle.reject(error);
    this.#controller?.abort(error instanceof Error ? error : new Error("given up"));
  }

  #end(): void {
    this.#isOver = true;
    this.#watch.stop();
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
  }

  #faultOf(error: Error): PeerFault {
    if (error instanceof PeerFault) return error;
    const message = "code" in error && typeof error.code === "string" ? error.code : error.name;
    if (!this.#controller) return new PeerFault("refused", message);
    if (this.#take) return new PeerFault("cut", message, true);
    const isGarbled = error instanceof errors.HTTPParserError || error instanceof errors.HeadersOverflowError;
    return new PeerFault(isGarbled ? "garbled" : "reset", message);
  }
}
