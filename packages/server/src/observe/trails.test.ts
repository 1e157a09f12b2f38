import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { test } from "node:test";

import type { Digest } from "@pullring/oci";
import { virtualClock } from "@pullring/testkit";

import type { Exchange } from "../http/exchange.ts";
import { makeLog } from "./log.ts";
import type { SpanEnd, SpanStart, Tracer } from "./tracer.ts";
import { Trails } from "./trails.ts";

const repository = { upstream: "docker.io", name: "library/alpine" };
const digest = `sha256:${"a".repeat(64)}` as Digest;
const clientTrace = `00-${"ab".repeat(16)}-${"cd".repeat(8)}-01`;
const target = { kind: "blob", verb: "get", repository, digest } as const;

interface Told {
  readonly name: string;
  readonly how: SpanStart;
  readonly links: string[];
  end?: SpanEnd | undefined;
}

/** A tracer whose spans are called by their number, as their parents are. */
function fakeTracer(): { tracer: Tracer; spans: Told[] } {
  const spans: Told[] = [];
  const tracer: Tracer = {
    start(name, how) {
      const told: Told = { name, how, links: [] };
      spans.push(told);
      return {
        traceparent: `span ${spans.length}`,
        link: (to) => void told.links.push(to.traceparent),
        end(end = {}) {
          assert.equal(told.end, undefined, `${name} ends twice`);
          told.end = end;
        },
      };
    },
    close: () => Promise.resolve(),
  };
  return { tracer, spans };
}

function start({ traced = true } = {}) {
  const lines: Record<string, unknown>[] = [];
  const write = (line: string): void => void lines.push(JSON.parse(line) as Record<string, unknown>);
  const clock = virtualClock();
  const { tracer, spans } = fakeTracer();
  const log = makeLog({ level: "debug", clock, destination: { write } });
  const trails = new Trails({ log, clock, ...(traced && { tracer }) });
  const idOf = (message: string): unknown => lines.find(({ msg }) => msg === message)?.["requestId"];
  const parentOf = (name: string): string | undefined =>
    spans.find((span) => span.name === name)?.how.parent?.traceparent;
  return { trails, spans, lines, idOf, parentOf };
}

const exchangeOf = (id: string, more: Partial<Exchange> = {}): Exchange => ({
  request: { method: "GET", headers: { traceparent: clientTrace } } as unknown as IncomingMessage,
  response: { statusCode: 200 } as ServerResponse,
  id,
  target: "/v2/",
  startedMs: 0,
  client: { address: "192.0.2.1" },
  route: "blob",
  repository,
  digest,
  tier: "upstream",
  outcome: "ok",
  bytes: 7,
  ...more,
});

const wireAsk = {
  upstream: "docker.io",
  kind: "blob_get",
  lane: "ci@a@n1",
  method: "GET",
  origin: "https://cdn.example.org",
  errand: 1,
  hop: 1,
  credentials: false,
} as const;

test("a line that is logged for a request has its id, in a fill that outlives it too, and nobody's afterwards", async () => {
  const { trails, idOf } = start({ traced: false });
  const [left, filled, over] = [Promise.withResolvers<void>(), Promise.withResolvers<void>(), new EventEmitter()];
  let fill = Promise.resolve();
  await trails.serve(exchangeOf("r1"), async () => {
    trails.log.warn({}, "in the request");
    fill = trails.aroundFill({ digest, repository }, async () => {
      await left.promise;
      trails.log.warn({}, "in the fill");
      filled.promise
        .then(() => trails.log.warn({}, "after both"))
        .then(
          () => over.emit("over"),
          () => {},
        );
    });
  });
  const isOver = new Promise((resolve) => over.once("over", resolve));
  left.resolve();
  await fill;
  filled.resolve();
  await isOver;
  assert.deepEqual(["in the request", "in the fill", "after both"].map(idOf), ["r1", "r1", undefined]);
});

test("a peer is told the id, and logs what it does by it", async () => {
  const { trails, lines, idOf } = start({ traced: false });
  const told: unknown[] = [];
  await trails.serve(
    exchangeOf("r1"),
    async () => void told.push(trails.onAsk({ peer: "n2", verb: "get", target }).cause),
  );
  assert.deepEqual(told, [{ requestId: "r1" }]);
  const asking = { from: "n1", target, cause: { requestId: "r1" } };
  await trails.aroundPeer(asking, () => (trails.log.warn({}, "at the peer"), Promise.resolve("ok")));
  assert.equal(idOf("at the peer"), "r1");
  const { time: _, ...line } = lines.at(-1) ?? {};
  assert.deepEqual(line, {
    level: "info",
    peer: "n1",
    asks: "get blob",
    upstream: "docker.io",
    name: "library/alpine",
    reference: digest,
    outcome: "ok",
    ms: 0,
    requestId: "r1",
    msg: "peer request",
  });
});

test("without a tracer nothing is told to upstreams' exchanges, and no trace context goes to peers", async () => {
  const { trails, spans } = start({ traced: false });
  assert.equal(trails.onWire, undefined);
  await trails.serve(exchangeOf("r1"), async () => {
    assert.deepEqual(trails.onAsk({ peer: "n2", verb: "get", target }).cause, { requestId: "r1" });
  });
  assert.equal(trails.onAsk({ peer: "n2", verb: "hello", target: { kind: "hello" } }).cause, undefined);
  assert.deepEqual(spans, []);
});

test("client, request, fill, peer and upstream are one trace", async () => {
  const { trails, spans, parentOf } = start();
  await trails.serve(exchangeOf("r1"), () =>
    trails.aroundFill({ digest, repository }, async () => {
      const asked = trails.onAsk({ peer: "n2", verb: "get", target });
      assert.deepEqual(asked.cause, { requestId: "r1", traceparent: "span 3" });
      asked.end("unavailable" as never);
      trails.onWire?.(wireAsk)({ status: 200, bytes: 7, tells: [], isBroken: false });
      trails.observe({ kind: "fill_ended", digest, state: "done", bytes: 7, kept: true });
    }),
  );
  assert.deepEqual(["GET", "fill", "peer get blob", "upstream blob_get"].map(parentOf), [
    clientTrace,
    "span 1",
    "span 2",
    "span 2",
  ]);
  assert.deepEqual(
    spans.map(({ end }) => end?.failure),
    [undefined, undefined, "unavailable", undefined],
  );
  assert.equal(spans[0]?.end?.name, "GET /v2/{name}/blobs/{digest}");
  const { attributes = {} } = spans[3]?.how ?? {};
  assert.deepEqual([attributes["pullring.account"], attributes["pullring.egress"]], ["ci", "a"]);
  assert.equal(attributes["server.address"], "cdn.example.org");
});

test("a peer goes on with the trace that it is told, and begins none", async () => {
  const { trails, spans } = start();
  const run = () => Promise.resolve("ok" as const);
  await trails.aroundPeer({ from: "n1", target, cause: { requestId: "r1" } }, run);
  await trails.aroundPeer({ from: "n1", target, cause: { requestId: "r1", traceparent: clientTrace } }, run);
  assert.deepEqual(
    spans.map(({ name, how }) => [name, how.kind, how.parent?.traceparent]),
    [["serve get blob", "server", clientTrace]],
  );
});

test("whoever joins a fill points to it", async () => {
  const { trails, spans } = start();
  await trails.serve(exchangeOf("r1"), () =>
    trails.aroundFill({ digest, repository }, () => {
      trails.observe({ kind: "fill_ended", digest, state: "done", bytes: 7, kept: true });
      return Promise.resolve();
    }),
  );
  await trails.serve(exchangeOf("r2", { joined: true }), () => Promise.resolve());
  assert.deepEqual(spans[2]?.links, ["span 2"]);
});

test("what nobody asked for is not traced", () => {
  const { trails, spans } = start();
  trails.onWire?.(wireAsk)({ status: 200, bytes: 7, tells: [], isBroken: false });
  trails.onAsk({ peer: "n2", verb: "holding", target }).end("ok");
  assert.deepEqual(spans, []);
});

test("why a request failed is told without its secrets", async () => {
  const { trails, spans } = start();
  const error = new Error("https://user:canary@cdn.example.org/x?sig=canary fails");
  await trails.serve(exchangeOf("r1", { outcome: "failed", error }), () => Promise.resolve());
  assert.match(spans[0]?.end?.failure ?? "", /cdn\.example\.org/);
  assert.ok(!JSON.stringify(spans).includes("canary"));
});
