import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";

type Value = Readonly<
  Partial<Record<"stringValue" | "intValue" | "doubleValue" | "boolValue", string | number | boolean>>
>;
type Pairs = readonly { readonly key: string; readonly value: Value }[];

interface OtlpSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly traceState?: string;
  readonly name: string;
  /** 1 internal, 2 server, 3 client. */
  readonly kind: number;
  readonly attributes?: Pairs;
  readonly links?: readonly { readonly traceId: string; readonly spanId: string }[];
  /** Code 2 is an error. */
  readonly status?: { readonly code?: number; readonly message?: string };
}

interface OtlpTraces {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: Pairs };
    readonly scopeSpans: readonly { readonly spans: readonly OtlpSpan[] }[];
  }[];
}

export interface CollectedSpan extends Omit<OtlpSpan, "attributes"> {
  readonly attributes: Readonly<Record<string, unknown>>;
  /** Of who sent it: `service.name` and so on. */
  readonly resource: Readonly<Record<string, unknown>>;
}

export interface TraceCollector extends AsyncDisposable {
  /** For `tracing.endpoint`. */
  readonly url: string;
  readonly spans: readonly CollectedSpan[];
  /** Headers of what was posted. */
  readonly posts: readonly IncomingHttpHeaders[];
  /** What the next posts are answered; `silence` = nothing, ever. What is not 200 is not collected. */
  answer: number | "silence";
}

const valuesOf = (pairs: Pairs = []): Record<string, unknown> =>
  Object.fromEntries(pairs.map(({ key, value }) => [key, Object.values(value)[0]]));

/** Takes OTLP over HTTP in JSON (`POST /v1/traces`) on loopback, and keeps what it took. */
export async function startTraceCollector(port = 0): Promise<TraceCollector> {
  const spans: CollectedSpan[] = [];
  const posts: IncomingHttpHeaders[] = [];
  const collector = { answer: 200 as number | "silence" };

  function take({ resourceSpans }: OtlpTraces): void {
    for (const { resource, scopeSpans } of resourceSpans)
      for (const span of scopeSpans.flatMap((scope) => scope.spans))
        spans.push({ ...span, attributes: valuesOf(span.attributes), resource: valuesOf(resource.attributes) });
  }

  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      posts.push(request.headers);
      if (collector.answer === "silence") return;
      const isTraces = request.method === "POST" && request.url === "/v1/traces";
      if (isTraces && collector.answer === 200) take(JSON.parse(Buffer.concat(chunks).toString()) as OtlpTraces);
      response.writeHead(isTraces ? collector.answer : 404, { "content-type": "application/json" }).end("{}");
    });
  });
  server.listen(port, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const stop = async (): Promise<void> => {
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  };
  return Object.assign(collector, {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    posts,
    [Symbol.asyncDispose]: stop,
  });
}
