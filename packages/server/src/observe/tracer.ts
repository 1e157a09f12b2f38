/** W3C Trace Context: what crosses a wire of a span. */
export interface TraceContext {
  readonly traceparent: string;
  readonly tracestate?: string;
}

export type Attributes = Readonly<Record<string, string | number | boolean | undefined>>;

export interface SpanStart {
  readonly kind: "server" | "client" | "internal";
  /** Here, or on whoever asks; absent = a trace begins. */
  readonly parent?: Span | TraceContext | undefined;
  readonly attributes: Attributes;
}

export interface SpanEnd {
  /** Where the name that it began with says too little. */
  readonly name?: string;
  readonly attributes?: Attributes;
  /** Why it did not end well. Holds no secret: the tracer scrubs nothing. */
  readonly failure?: string | undefined;
}

/** One thing that takes a while. */
export interface Span extends TraceContext {
  /** It got what another one brings. */
  link(to: Span): void;
  /** Called once. */
  end(told?: SpanEnd): void;
}

/** Takes spans and brings them to a collector, later and elsewhere: nobody waits for it, and its failures are its own. */
export interface Tracer {
  start(name: string, how: SpanStart): Span;
  /** Sends what is left, within a bound. */
  close(): Promise<void>;
}

const traceparentGrammar =
  /^(?<version>[\da-f]{2})-(?<trace>(?!0{32})[\da-f]{32})-(?<span>(?!0{16})[\da-f]{16})-(?<flags>[\da-f]{2})(?<more>-.*)?$/;
const tracestateGrammar = /^[\x20-\x7e]{1,512}$/;

/**
 * What the headers of a request say, told as version 00; undefined = nothing, or nothing in form. A later version may have more behind
 * these fields, which does not count here, nor do flags but the one of being sampled (Trace Context §2.2.3 and §4).
 */
export function traceContextOf(
  headers: Readonly<Record<string, string | string[] | undefined>>,
): TraceContext | undefined {
  const { traceparent, tracestate } = headers;
  const found = typeof traceparent === "string" ? traceparentGrammar.exec(traceparent)?.groups : undefined;
  if (!found) return undefined;
  const { version, trace, span, flags = "", more } = found;
  if (version === "ff" || (version === "00" && more !== undefined)) return undefined;
  const sampled = Number.parseInt(flags, 16) % 2 === 1 ? "01" : "00";
  const hasState = typeof tracestate === "string" && tracestateGrammar.test(tracestate);
  return { traceparent: `00-${trace}-${span}-${sampled}`, ...(hasState && { tracestate }) };
}
