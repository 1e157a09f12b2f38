import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import { eventually, startTraceCollector, type TraceCollector } from "@pullring/testkit";

import { systemClock } from "../clock.ts";
import type { Tracing } from "../config/config.ts";
import { StartError } from "../start-error.ts";
import type { Log } from "./log.ts";
import { openOtlpTracer } from "./otlp-tracer.ts";
import { traceContextOf, type Tracer } from "./tracer.ts";
import { tracingLimits } from "./tracing-limits.ts";

const secret = (text: string): NonNullable<Tracing["headers"]> => ({
  read: () => text,
  toJSON: () => "***",
  toString: () => "***",
});
const traceId = "ab".repeat(16);
const client = traceContextOf({ traceparent: `00-${traceId}-${"cd".repeat(8)}-01`, tracestate: "vendor=1" });
const how = { kind: "server", attributes: { a: 1, none: undefined } } as const;

interface Rig {
  readonly collector: TraceCollector;
  readonly tracer: Tracer;
  readonly lines: string[];
}

async function start(t: TestContext, tracing: Partial<Tracing> = {}): Promise<Rig> {
  const collector = await startTraceCollector();
  t.after(() => collector[Symbol.asyncDispose]());
  const lines: string[] = [];
  const line: Log["info"] = (facts, message) => void lines.push(`${message} ${JSON.stringify(facts)}`);
  const tracer = openOtlpTracer({
    tracing: { endpoint: `${collector.url}/v1/traces`, sample: 1, serviceName: "pullring", ...tracing },
    node: "n1",
    version: "1.2.3",
    log: { debug: line, info: line, warn: line, error: line },
    clock: systemClock,
  });
  t.after(() => tracer.close());
  return { collector, tracer, lines };
}

test("a span reaches the collector with its parent, its words and whose it is", async (t) => {
  const { collector, tracer } = await start(t, { headers: secret("Authorization: Bearer canary\n\nX-Team: a\n") });
  const request = tracer.start("GET", { ...how, parent: client });
  const fill = tracer.start("fill", { kind: "internal", parent: request, attributes: {} });
  request.link(fill);
  fill.end({ failure: "cut" });
  request.end({ name: "GET /v2/", attributes: { "http.route": "/v2/" } });
  await tracer.close();
  const [inner, outer] = collector.spans;
  assert.ok(inner && outer);
  assert.deepEqual(
    [inner.traceId, inner.parentSpanId, inner.status],
    [traceId, outer.spanId, { code: 2, message: "cut" }],
  );
  assert.deepEqual(
    [outer.name, outer.kind, outer.parentSpanId, outer.traceState],
    ["GET /v2/", 2, "cd".repeat(8), "vendor=1"],
  );
  assert.deepEqual(outer.attributes, { a: 1, "http.route": "/v2/" });
  assert.equal(outer.links?.[0]?.spanId, inner.spanId);
  assert.deepEqual(outer.resource, {
    "service.name": "pullring",
    "service.version": "1.2.3",
    "service.instance.id": "n1",
  });
  const { authorization, "x-team": team } = collector.posts[0] ?? {};
  assert.deepEqual([authorization, team], ["Bearer canary", "a"]);
});

test("what crosses a wire of a span is in the form that it is read in", async (t) => {
  const { tracer } = await start(t);
  const { traceparent, tracestate } = tracer.start("GET", { ...how, parent: client });
  assert.deepEqual(traceContextOf({ traceparent, tracestate }), { traceparent, tracestate: "vendor=1" });
  assert.match(traceparent, new RegExp(`^00-${traceId}-(?!cdcd)[0-9a-f]{16}-01$`));
});

test("who began the trace decides whether it is sampled, and the share where nobody has", async (t) => {
  const { collector, tracer } = await start(t, { sample: 0 });
  const unsampled = traceContextOf({ traceparent: `00-${traceId}-${"cd".repeat(8)}-00` });
  const named = { nobody: undefined, unsampled, sampled: client };
  for (const [name, parent] of Object.entries(named)) tracer.start(name, { ...how, parent }).end();
  assert.match(tracer.start("GET", { ...how, parent: unsampled }).traceparent, /-00$/);
  await tracer.close();
  assert.deepEqual(
    collector.spans.map(({ name }) => name),
    ["sampled"],
  );
});

test("a collector that refuses loses spans, with one line, and the next that it takes with another", async (t) => {
  const { collector, tracer, lines } = await start(t);
  collector.answer = 400;
  const send = async (): Promise<void> => {
    const before = collector.posts.length;
    tracer.start("GET", how).end();
    await eventually(() => collector.posts.length > before);
  };
  await send();
  await send();
  collector.answer = 200;
  await send();
  await eventually(() => lines.length === 2);
  assert.match(lines[0] ?? "", /^spans are lost; pulls go on .*"lost":1/);
  assert.match(lines[1] ?? "", /^the trace collector takes spans again .*"lost":1/);
});

test("a collector that is silent holds neither memory nor the end of the process", async (t) => {
  const { collector, tracer, lines } = await start(t);
  collector.answer = "silence";
  for (let count = 0; count < tracingLimits.spansMax + 2_000; count += 1) tracer.start("GET", how).end();
  await eventually(() => collector.posts.length > 0);
  assert.match(lines[0] ?? "", /"why":"more spans wait than can be kept"/);
  const startedMs = performance.now();
  await tracer.close();
  // With slack for a busy machine.
  assert.ok(performance.now() - startedMs < tracingLimits.closeMs + 3_000);
});

test("headers that are none are told at the start, without what they hold", async (t) => {
  const none = secret("Authorization: ok\ncanary");
  await assert.rejects(start(t, { headers: none }), (error: unknown) => {
    assert.ok(error instanceof StartError);
    assert.equal(error.message, 'tracing.headers: line 2 is no "Name: value"');
    return true;
  });
  await assert.rejects(
    start(t, { headers: { ...none, file: "/f" } }),
    /^StartError: tracing\.headersFile: |tracing\.headersFile/,
  );
});
