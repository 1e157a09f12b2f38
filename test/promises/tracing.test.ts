import assert from "node:assert/strict";
import { mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, suite, test } from "node:test";
import { fileURLToPath } from "node:url";

import {
  ask,
  type CollectedSpan,
  digestOf,
  eventually,
  startHub,
  startTraceCollector,
  type TraceCollector,
} from "@pullring/testkit";

import { type Cluster, startCluster } from "../real/cluster.ts";
import type { ClusterNode } from "../real/cluster-node.ts";
import { startProgram } from "../real/program.ts";
import { asDockerHub, startPullring } from "../real/pullring.ts";

const repository = "acme/traced";
const clientSpan = "cd".repeat(8);
const account = { username: "ci", password: "canary-password" };

type Line = Readonly<Record<string, unknown>>;

const linesOf = (node: ClusterNode): readonly Line[] =>
  node.pullring
    .logs()
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as Line);

describe("tracing", { concurrency: true }, () => {
  /** Whole nodes: two that trace, and a third that does not. */
  suite("traces and request ids across nodes", { concurrency: false, timeout: 90_000 }, () => {
    let cluster: Cluster;
    let collector: TraceCollector;
    let traces = 0;

    before(async () => {
      collector = await startTraceCollector();
      const tracing = { endpoint: collector.url, headers: "authorization: Bearer canary-collector" };
      cluster = await startCluster({
        members: "list",
        balancer: "none",
        hub: { accounts: [account] },
        config: ({ id }) => ({
          log: { level: "debug" },
          accounts: [{ name: "ci", upstream: "docker.io", ...account }],
          ...(id !== "n3" && { tracing }),
        }),
      });
    });
    after(async () => {
      await cluster.stop();
      await collector[Symbol.asyncDispose]();
    });

    const node = (id: string): ClusterNode => cluster.nodes.find((one) => one.id === id) ?? assert.fail(id);

    async function ownerOf(digest: string): Promise<string> {
      const { body } = await ask(`${node("n1").adminUrl}/admin/v1/ring/owner?key=${digest}`);
      return (JSON.parse(body.toString()) as { owner: string }).owner;
    }

    /** A blob that nobody has yet, of this owner. */
    async function blobOf(owner: string): Promise<string> {
      for (;;) {
        const { digest } = cluster.hub.content.addBlob({ repository, size: 400_000 });
        if ((await ownerOf(digest)) === owner) return digest;
      }
    }

    async function pull(at: string, digest: string, headers: Record<string, string> = {}): Promise<void> {
      const { status, body } = await ask(`${node(at).url}/v2/${repository}/blobs/${digest}`, { headers });
      assert.equal(status, 200);
      assert.equal(await digestOf(body), digest);
    }

    const newTrace = (): string => (traces += 1).toString(16).padStart(32, "a");
    const sampledBy = (trace: string): string => `00-${trace}-${clientSpan}-01`;
    const inTrace = (trace: string): readonly CollectedSpan[] =>
      collector.spans.filter(({ traceId }) => traceId === trace);

    test("a cold pull by who does not own it is one trace: client, node, peer, upstream", async () => {
      const [digest, trace] = [await blobOf("n2"), newTrace()];
      await pull("n1", digest, { traceparent: sampledBy(trace) });
      await eventually(() => inTrace(trace).some(({ parentSpanId }) => parentSpanId === clientSpan));
      const called = ({ name, resource }: CollectedSpan): string =>
        `${String(resource["service.instance.id"])}: ${name}`;
      const named = (): Map<string, CollectedSpan> => new Map(inTrace(trace).map((span) => [called(span), span]));
      const bySpanId = (): Map<string, CollectedSpan> => new Map(inTrace(trace).map((span) => [span.spanId, span]));
      /** From a span up to the client's. */
      const chainOf = (name: string): readonly string[] => {
        const spans = bySpanId();
        const chain: string[] = [];
        let span = named().get(name);
        for (; span; span = spans.get(span.parentSpanId ?? "")) chain.push(called(span));
        return chain;
      };
      const asked = ["n1: peer get blob", "n1: fill", "n1: GET /v2/{name}/blobs/{digest}"];
      const served = ["n2: fill", "n2: serve get blob", ...asked];
      await eventually(() => chainOf("n2: upstream blob_get").length === 6);
      assert.deepEqual(chainOf("n2: upstream blob_get"), ["n2: upstream blob_get", ...served]);
      assert.deepEqual(chainOf("n2: upstream token").slice(1), served);
      const request = named().get("n1: GET /v2/{name}/blobs/{digest}");
      assert.equal(request?.parentSpanId, clientSpan);
      const { "pullring.tier": tier, "http.response.body.size": size, "pullring.digest": told } = request.attributes;
      assert.deepEqual([tier, size, told], ["peer", 400_000, digest]);
      const { "pullring.account": by, "pullring.egress": egress } =
        named().get("n2: upstream blob_get")?.attributes ?? {};
      assert.deepEqual([by, egress], ["ci", "default"]);
    });

    test("spans hold no secret, no query of a URL, and upstream is told of no trace", () => {
      assert.ok(collector.spans.length > 5);
      const told = JSON.stringify(collector.spans);
      for (const secret of ["canary", "Bearer", "?", "Signature"]) assert.ok(!told.includes(secret), secret);
      assert.equal(collector.posts[0]?.authorization, "Bearer canary-collector");
      const sent = cluster.hub.ledger.entries.flatMap(({ headers }) => Object.keys(headers));
      assert.ok(sent.length > 0);
      assert.deepEqual(
        sent.filter((name) => /trace|request-id|baggage/.test(name)),
        [],
      );
    });

    test("a request has one id in the lines of both nodes, those of their fills too", async () => {
      for (const [at, owner] of [
        ["n1", "n2"],
        ["n3", "n2"],
      ] as const) {
        const id = `pull-at-${at}`;
        const digest = await blobOf(owner);
        await pull(at, digest, { "x-request-id": id });
        const told = (by: string): readonly unknown[] =>
          linesOf(node(by)).flatMap(({ msg, requestId }) => (requestId === id ? [msg] : []));
        await eventually(() => told(owner).includes("peer request") && told(at).includes("request"));
        await eventually(() => [at, owner].every((by) => told(by).some((msg) => String(msg).startsWith("fill done"))));
      }
    });

    test("a node without tracing tells its peers of no trace", async () => {
      const trace = newTrace();
      await pull("n3", await blobOf("n2"), { traceparent: sampledBy(trace) });
      const later = newTrace();
      await pull("n1", await blobOf("n2"), { traceparent: sampledBy(later) });
      await eventually(() => inTrace(later).some(({ resource }) => resource["service.instance.id"] === "n2"));
      assert.deepEqual(inTrace(trace), []);
    });
  });

  test("pulls do not notice that the collector hangs or is away, and a node that stops sends what it has left", async () => {
    await using stack = new AsyncDisposableStack();
    const { path: dir } = stack.use(await mkdtempDisposable(join(tmpdir(), "pullring-traced-")));
    const hub = await startHub();
    stack.defer(() => hub.close());
    const hanging = stack.use(await startTraceCollector());
    hanging.answer = "silence";
    const config = { upstreams: asDockerHub(hub), tracing: { endpoint: hanging.url } };
    const node = stack.use(await startPullring({ dir, config }));
    const pull = async (): Promise<void> => {
      const { digest } = hub.content.addBlob({ repository, size: 400_000 });
      assert.equal((await ask(`${node.url}/v2/${repository}/blobs/${digest}`)).status, 200);
    };
    await pull();
    await eventually(() => hanging.posts.length > 0);
    const { port } = new URL(hanging.url);
    await hanging[Symbol.asyncDispose]();
    await pull();
    await eventually(() => node.logs().includes("spans are lost; pulls go on"), { timeoutMs: 20_000 });
    const collector = stack.use(await startTraceCollector(Number(port)));
    await pull();
    await node.stop();
    const names = collector.spans.map(({ name }) => name);
    assert.ok(names.includes("upstream blob_get") && names.includes("GET /v2/{name}/blobs/{digest}"), names.join(", "));
  });

  test("a node that is not configured to trace loads nothing for it", async () => {
    assert.deepEqual(await loadedWithout(), []);
  });
});

/** What of OpenTelemetry a node loads that is not configured to trace. */
async function loadedWithout(): Promise<readonly string[]> {
  await using dir = await mkdtempDisposable(join(tmpdir(), "pullring-untraced-"));
  const free = "127.0.0.1:0";
  const config = { listen: free, admin: { listen: free }, storage: { disk: { path: join(dir.path, "disk") } } };
  const file = join(dir.path, "pullring.yaml");
  await writeFile(file, JSON.stringify(config));
  const server = fileURLToPath(new URL("../../packages/server/src/index.ts", import.meta.url));
  const script = `
    import { registerHooks } from "node:module";
    const loaded = [];
    registerHooks({ load(url, context, next) { loaded.push(url); return next(url, context); } });
    const { startNode } = await import(${JSON.stringify(server)});
    const node = await startNode(${JSON.stringify(file)});
    await node.stop("enough");
    console.log("LOADED " + JSON.stringify(loaded));`;
  const logFile = join(dir.path, "log");
  const args = ["--input-type=module", "-e", script];
  await using program = startProgram({ command: process.execPath, args, logFile });
  assert.equal((await program.ended).code, 0, program.logs());
  const loaded = JSON.parse(/^LOADED (.*)$/m.exec(program.logs())?.[1] ?? "[]") as string[];
  assert.ok(
    loaded.some((url) => url.endsWith("/observe/trails.ts")),
    program.logs(),
  );
  // The API alone, which does nothing by itself, is loaded by prom-client.
  return loaded.filter((url) => /opentelemetry|otlp/.test(url) && !url.includes("/@opentelemetry/api/"));
}
