import { BatchSpanProcessor, type SpanExporter, type SpanProcessor } from "@opentelemetry/sdk-trace";
import type { Clock } from "@pullring/core";

import type { Log } from "./log.ts";
import { scrubText } from "./scrub.ts";
import { tracingLimits } from "./tracing-limits.ts";

export interface OutboxOptions {
  readonly exporter: SpanExporter;
  /** Of the collector. */
  readonly host: string;
  readonly log: Log;
  readonly clock: Clock;
}

type Export = SpanExporter["export"];

/** Spans on their way out: a bounded number, in batches. What can't be sent is lost, and told by a line now and then. */
export function openOutbox({ exporter, host, log, clock }: OutboxOptions): SpanProcessor {
  const { spansMax, batchMax, batchMs, exportMs, toldMs } = tracingLimits;
  let waiting = 0;
  let lost = 0;
  let toldAtMs = Number.NEGATIVE_INFINITY;
  let isFailing = false;

  function lose(spans: number, why: string): void {
    lost += spans;
    if (clock.monotonic() - toldAtMs < toldMs) return;
    toldAtMs = clock.monotonic();
    log.warn({ collector: host, lost, why }, "spans are lost; pulls go on");
    lost = 0;
  }

  function recover(): void {
    log.info({ collector: host, lost }, "the trace collector takes spans again");
    lost = 0;
  }

  const send: Export = (spans, onEnd) => {
    waiting -= spans.length;
    exporter.export(spans, (result) => {
      const code: number = result.code;
      const isSent = code === 0;
      if (!isSent) lose(spans.length, scrubText(result.error?.message ?? "the collector refuses them"));
      else if (isFailing) recover();
      isFailing = !isSent;
      onEnd(result);
    });
  };

  const batches = new BatchSpanProcessor({
    exporter: { export: send, shutdown: () => exporter.shutdown() },
    maxQueueSize: spansMax,
    maxExportBatchSize: batchMax,
    scheduledDelayMillis: batchMs,
    exportTimeoutMillis: exportMs,
  });
  return {
    onStart: () => {},
    onEnd(span) {
      if (waiting >= spansMax) return lose(1, "more spans wait than can be kept");
      waiting += 1;
      batches.onEnd(span);
    },
    forceFlush: () => batches.forceFlush(),
    shutdown: () => batches.shutdown(),
  };
}
