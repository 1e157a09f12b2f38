import { AsyncLocalStorage } from "node:async_hooks";

import type { PeerClientOptions, PeerHandlerOptions } from "@pullring/cluster";
import type { CacheDeps, CacheEvent, Clock } from "@pullring/core";
import type { Digest } from "@pullring/oci";
import type { OnWire } from "@pullring/upstream";

import type { Exchange } from "../http/exchange.ts";
import type { Log, ProcessLog } from "./log.ts";
import {
  fillAttributes,
  fillEnd,
  peerEnd,
  requestAttributes,
  requestEnd,
  targetAttributes,
  upstreamAttributes,
  upstreamEnd,
  type PeerOutcome,
  type PeerTarget,
} from "./spans.ts";
import { traceContextOf, type Span, type Tracer } from "./tracer.ts";

type OnAsk = NonNullable<PeerClientOptions["onAsk"]>;
type AroundPeer = NonNullable<PeerHandlerOptions["around"]>;
type AroundFill = NonNullable<CacheDeps["aroundFill"]>;

/** What is under way for one request, at one place: its answer, a fill that it began, what a peer asks for in its name. */
interface Step {
  readonly requestId: string | undefined;
  readonly span: Span | undefined;
  isOver: boolean;
}

export interface TrailsOptions {
  readonly log: ProcessLog;
  readonly clock: Clock;
  /** Absent = nothing is traced; requests have their ids all the same. */
  readonly tracer?: Tracer | undefined;
}

/** Spans of fills that those who join them can point to. */
const fillsMax = 1_000;

/**
 * Follows each request through whatever is done for it, by the context that the runtime carries along: its id stands in every line that
 * is logged meanwhile, here and on the peers asked for it, and where there is a tracer, each part of it is a span. What goes on when the
 * request and its fills are over (a queue that it was the first in, say) is nobody's any more.
 */
export class Trails {
  readonly #options: TrailsOptions;
  readonly #steps = new AsyncLocalStorage<Step>();
  readonly #fills = new Map<Digest, Span>();
  /** The process' log, with the id of the request that a line is logged for. */
  readonly log: ProcessLog;
  /** For the upstreams. Trace context is not sent there: whom a registry and its CDN see is this cache, not its clients' traces. */
  readonly onWire: OnWire | undefined;

  constructor(options: TrailsOptions) {
    const { log, tracer } = options;
    this.#options = options;
    const lineOf = (severity: keyof Log): Log[keyof Log] => {
      return (facts, message) => log[severity](this.#named(facts), message);
    };
    const [debug, info, warn, error] = [lineOf("debug"), lineOf("info"), lineOf("warn"), lineOf("error")];
    this.log = { ...log, debug, info, warn, error };
    this.onWire = tracer && ((ask) => this.#askUpstream(tracer, ask));
  }

  /** Goes around what answers a client. */
  async serve(exchange: Exchange, run: () => Promise<void>): Promise<void> {
    const { headers, method = "" } = exchange.request;
    const attributes = requestAttributes(exchange);
    const span = this.#options.tracer?.start(method, { kind: "server", parent: traceContextOf(headers), attributes });
    await this.#follow({ requestId: exchange.id, span }, run);
    const fill = exchange.joined && exchange.digest ? this.#fills.get(exchange.digest) : undefined;
    if (fill) span?.link(fill);
    span?.end(requestEnd(exchange));
  }

  readonly aroundFill: AroundFill = (fill, run) => {
    const by = this.#step();
    if (!by) return run();
    const attributes = fillAttributes(fill);
    const span = by.span && this.#options.tracer?.start("fill", { kind: "internal", parent: by.span, attributes });
    if (span) this.#remember(fill.digest, span);
    return this.#follow({ requestId: by.requestId, span }, run);
  };

  /** A fill's span ends with its bytes, not with what becomes of them. */
  observe(event: CacheEvent): void {
    if (event.kind === "fill_ended") this.#step()?.span?.end(fillEnd(event));
  }

  /** Before a peer is asked. */
  readonly onAsk: OnAsk = ({ peer, verb, target }) => {
    const by = this.#step();
    const attributes = { "pullring.peer": peer, ...targetAttributes(target) };
    const span =
      by?.span &&
      this.#options.tracer?.start(`peer ${wordsOf(verb, target)}`, { kind: "client", parent: by.span, attributes });
    const { requestId } = by ?? {};
    const context = span && { traceparent: span.traceparent, ...(span.tracestate && { tracestate: span.tracestate }) };
    return {
      cause: by && { ...(requestId !== undefined && { requestId }), ...context },
      end: (outcome) => span?.end(peerEnd(outcome)),
    };
  };

  /** Goes around what is done for a peer. */
  readonly aroundPeer: AroundPeer = async ({ from, target, cause }, run) => {
    const { tracer, clock } = this.#options;
    const { requestId, traceparent, tracestate } = cause ?? {};
    const parent = traceparent === undefined ? undefined : { traceparent, ...(tracestate && { tracestate }) };
    const attributes = { "pullring.peer": from, "pullring.request_id": requestId, ...targetAttributes(target) };
    const words = wordsOf("verb" in target ? target.verb : target.kind, target);
    // A trace begins with a client's request.
    const span = parent && tracer?.start(`serve ${words}`, { kind: "server", parent, attributes });
    const startedMs = clock.monotonic();
    let outcome: PeerOutcome = "unavailable";
    try {
      return (outcome = await this.#follow({ requestId, span }, run));
    } finally {
      span?.end(peerEnd(outcome));
      this.#tellPeer({ from, target, outcome, ms: clock.monotonic() - startedMs, requestId });
    }
  };

  /** One line for what a peer lets this node do; what it only looks up is told to who looks for faults. */
  #tellPeer(told: PeerLine): void {
    const { target, from, outcome, ms, requestId } = told;
    const { upstream, name } = "repository" in target ? target.repository : {};
    const reference = "tag" in target ? target.tag : "digest" in target ? target.digest : undefined;
    const facts = {
      peer: from,
      asks: wordsOf("verb" in target ? target.verb : undefined, target),
      upstream,
      name,
      reference,
    };
    const isWork = target.kind === "fetch" || ("verb" in target && target.verb === "get");
    const line = isWork ? this.#options.log.info : this.#options.log.debug;
    line({ ...facts, outcome, ms: Math.round(ms * 10) / 10, requestId }, "peer request");
  }

  #askUpstream(tracer: Tracer, ask: Parameters<OnWire>[0]): ReturnType<OnWire> {
    const parent = this.#step()?.span;
    if (!parent) return () => {};
    const span = tracer.start(`upstream ${ask.kind}`, { kind: "client", parent, attributes: upstreamAttributes(ask) });
    return (end) => span.end(upstreamEnd(end));
  }

  /** Sends what spans are left, within a bound. */
  async close(): Promise<void> {
    await this.#options.tracer?.close();
  }

  #step(): Step | undefined {
    const step = this.#steps.getStore();
    return step?.isOver === false ? step : undefined;
  }

  async #follow<T>(of: Omit<Step, "isOver">, run: () => Promise<T>): Promise<T> {
    const step = { ...of, isOver: false };
    try {
      return await this.#steps.run(step, run);
    } finally {
      step.isOver = true;
    }
  }

  #named<F extends object>(facts: F): F {
    const requestId = this.#step()?.requestId;
    return requestId === undefined ? facts : { ...facts, requestId };
  }

  #remember(digest: Digest, span: Span): void {
    this.#fills.delete(digest);
    this.#fills.set(digest, span);
    const [oldest] = this.#fills.keys();
    if (this.#fills.size > fillsMax && oldest !== undefined) this.#fills.delete(oldest);
  }
}

interface PeerLine {
  readonly from: string;
  readonly target: PeerTarget;
  readonly outcome: PeerOutcome;
  readonly ms: number;
  readonly requestId: string | undefined;
}

/** `get blob`, `resolve tag`, `fetch`. */
const wordsOf = (verb: string | undefined, { kind }: PeerTarget): string =>
  verb === undefined || verb === kind ? kind : `${verb} ${kind}`;
