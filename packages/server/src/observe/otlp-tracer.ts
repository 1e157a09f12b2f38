import {
  createTraceState,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  TraceFlags,
  type Context,
  type Span as OtelSpan,
  type Tracer as OtelTracer,
} from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { ParentBasedSampler, TraceIdRatioBasedSampler, TracerProvider } from "@opentelemetry/sdk-trace";
import type { Clock } from "@pullring/core";

import type { Tracing } from "../config/config.ts";
import { StartError } from "../start-error.ts";
import { parseHeaderLines } from "./header-lines.ts";
import type { Log } from "./log.ts";
import { openOutbox } from "./outbox.ts";
import type { Attributes, Span, SpanEnd, SpanStart, TraceContext, Tracer } from "./tracer.ts";
import { tracingLimits } from "./tracing-limits.ts";

export interface OtlpTracerOptions {
  readonly tracing: Tracing;
  readonly node: string;
  readonly version: string;
  readonly log: Log;
  readonly clock: Clock;
}

/**
 * Spans by OpenTelemetry's SDK, posted as OTLP in JSON. This file and what it imports are loaded only where tracing is configured. The
 * SDK's globals stay as they are: no context manager, no propagator, no instrumentation. Throws StartError for headers that are none.
 */
export function openOtlpTracer({ tracing, node, version, log, clock }: OtlpTracerOptions): Tracer {
  const { endpoint, headers, sample, serviceName } = tracing;
  const headersNow = (): Record<string, string> => parseHeaderLines(headers?.read() ?? "");
  try {
    headersNow();
  } catch (error) {
    const key = headers?.file === undefined ? "tracing.headers" : "tracing.headersFile";
    throw new StartError(`${key}: ${(error as Error).message}`, { cause: error });
  }
  const exporter = new OTLPTraceExporter({
    url: endpoint,
    headers: () => Promise.resolve(headersOr(headersNow, log)),
    timeoutMillis: tracingLimits.exportMs,
    concurrencyLimit: tracingLimits.exportsMax,
  });
  const provider = new TracerProvider({
    resource: resourceFromAttributes({
      "service.name": serviceName,
      "service.version": version,
      "service.instance.id": node,
    }),
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(sample) }),
    spanProcessors: [openOutbox({ exporter, host: new URL(endpoint).host, log, clock })],
  });
  const tracer = provider.getTracer("pullring", version);
  return {
    start: (name, how) => new OtlpSpan(tracer, name, how),
    async close() {
      const over = new AbortController();
      const late = clock.sleep(tracingLimits.closeMs, over.signal).catch(() => {});
      // Its failures are told by the outbox.
      await Promise.race([provider.shutdown().catch(() => {}), late]);
      over.abort();
    },
  };
}

/** A file may have been spoilt since the start: then the collector is asked without, and says so. */
function headersOr(headersNow: () => Record<string, string>, log: Log): Record<string, string> {
  try {
    return headersNow();
  } catch (error) {
    log.error({ why: (error as Error).message }, "the headers for the trace collector can't be used");
    return {};
  }
}

const kinds = { server: SpanKind.SERVER, client: SpanKind.CLIENT, internal: SpanKind.INTERNAL } as const;

class OtlpSpan implements Span {
  readonly #span: OtelSpan;

  constructor(tracer: OtelTracer, name: string, { kind, parent, attributes }: SpanStart) {
    this.#span = tracer.startSpan(
      name,
      { kind: kinds[kind], attributes: present(attributes) },
      OtlpSpan.#under(parent),
    );
  }

  get traceparent(): string {
    const { traceId, spanId, traceFlags } = this.#span.spanContext();
    return `00-${traceId}-${spanId}-${traceFlags & TraceFlags.SAMPLED ? "01" : "00"}`;
  }

  get tracestate(): string {
    return this.#span.spanContext().traceState?.serialize() ?? "";
  }

  link(to: Span): void {
    if (to instanceof OtlpSpan) this.#span.addLink({ context: to.#span.spanContext() });
  }

  end({ name, attributes, failure }: SpanEnd = {}): void {
    if (!this.#span.isRecording()) return;
    if (name !== undefined) this.#span.updateName(name);
    if (attributes) this.#span.setAttributes(present(attributes));
    if (failure !== undefined) this.#span.setStatus({ code: SpanStatusCode.ERROR, message: failure });
    this.#span.end();
  }

  static #under(parent: Span | TraceContext | undefined): Context {
    if (!parent) return ROOT_CONTEXT;
    if (parent instanceof OtlpSpan) return trace.setSpan(ROOT_CONTEXT, parent.#span);
    const [, traceId = "", spanId = "", flags = "00"] = parent.traceparent.split("-");
    const traceFlags = flags === "01" ? TraceFlags.SAMPLED : TraceFlags.NONE;
    const traceState = parent.tracestate === undefined ? undefined : createTraceState(parent.tracestate);
    const isRemote = true;
    return trace.setSpanContext(ROOT_CONTEXT, {
      traceId,
      spanId,
      traceFlags,
      isRemote,
      ...(traceState && { traceState }),
    });
  }
}

/** A loop: this is done twice for every span. */
function present(attributes: Attributes): Record<string, string | number | boolean> {
  const found: Record<string, string | number | boolean> = {};
  for (const name in attributes) {
    const value = attributes[name];
    if (value !== undefined) found[name] = value;
  }
  return found;
}
