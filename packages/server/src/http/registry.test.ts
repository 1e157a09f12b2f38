import assert from "node:assert/strict";
import { createServer, request as httpRequest, type IncomingMessage } from "node:http";
import { connect, type AddressInfo } from "node:net";
import { after, before, test } from "node:test";

import { PullringError } from "@pullring/core";
import type { Digest } from "@pullring/oci";
import { imageManifest, repositoryA, testCache } from "@pullring/testkit";

import { makeApp } from "./app.ts";
import { makeByteMover } from "./byte-mover.ts";
import { makeRequestIds, type Exchange } from "./exchange.ts";
import { Refusal } from "./errors.ts";
import { serveRegistry, type RegistryDeps } from "./registry.ts";
import { Responder } from "./respond.ts";
import { loadSendfile } from "./sendfile.ts";
import { serverLimits } from "./server-limits.ts";
import type { Unreadable } from "./unreadable.ts";

const mediaType = "application/vnd.oci.image.manifest.v1+json";
const digest = (digit: string): string => `sha256:${digit.repeat(64)}`;
const { cache, upstream, clock } = testCache();
const blobBytes = Buffer.from(Array.from({ length: 2048 }, (_, index) => index % 251));
const blob = upstream.put(repositoryA, blobBytes);
const image = imageManifest(digest("c"), digest("1"));
const manifest = upstream.put(repositoryA, image, { tag: "latest", mediaType });
const ended: Exchange[] = [];
const unreadable: Unreadable[] = [];
const knobs = { fallback: "direct" as RegistryDeps["fallback"], login: false, network: true, mayPull: true };

const names = {
  default: "docker.io",
  canonical: new Map([
    ["docker.io", "docker.io"],
    ["ghcr.io", "ghcr.io"],
  ]),
};
const responder = new Responder(makeByteMover(loadSendfile()), () => performance.now());
const app = makeApp({
  makeServer: (listener) => createServer({ maxHeaderSize: serverLimits.headBytesMax }, listener),
  serve: (exchange) =>
    serveRegistry(
      {
        cache,
        names,
        responder,
        fallback: knobs.fallback,
        doorkeeper: {
          identify: () => {
            if (!knobs.network) throw new Refusal("network", "this network may not pull here");
            if (knobs.login) throw new Refusal("unauthorized", "log in");
            return { address: "192.0.2.1" };
          },
          mayPull: () => knobs.mayPull,
        },
      },
      exchange,
    ),
  health: { livez: () => ({ status: 200, word: "ok" }), readyz: () => ({ status: 503, word: "draining" }) },
  requestId: makeRequestIds("test"),
  monotonic: () => performance.now(),
  onEnd: (exchange) => void ended.push(exchange),
  onUnreadable: (each) => void unreadable.push(each),
});

let port = 0;
before(async () => {
  await app.listen({ port: 0, host: "127.0.0.1" });
  port = (app.server.address() as AddressInfo).port;
});
after(() => app.close());

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

async function ask(path: string, options: { method?: string; headers?: Record<string, string> } = {}): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  httpRequest({ port, host: "127.0.0.1", path, agent: false, ...options }, resolve)
    .on("error", reject)
    .end();
  const response = await promise;
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return { status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) };
}

const code = ({ body }: Answer): string =>
  (JSON.parse(body.toString()) as { errors: { code: string }[] }).errors[0]?.code ?? "";
const blobPath = `/v2/acme/a/blobs/${blob}`;

test("a ping is {} and asks for no login", async () => {
  for (const path of ["/v2/", "/v2", "/ghcr.io/v2/"]) {
    const answer = await ask(path);
    assert.deepEqual([answer.status, answer.body.toString()], [200, "{}"]);
    assert.equal(answer.headers["www-authenticate"], undefined);
    assert.equal(answer.headers["docker-distribution-api-version"], "registry/2.0");
  }
  assert.equal((await ask("/evil.example/v2/")).status, 404);
});

test("a manifest by tag has every header that clients look at", async () => {
  const { status, headers, body } = await ask("/v2/acme/a/manifests/latest?ns=docker.io");
  assert.equal(status, 200);
  assert.equal(body.toString(), image);
  assert.equal(headers["content-type"], mediaType);
  assert.equal(headers["docker-content-digest"], manifest);
  assert.equal(headers.etag, `"${manifest}"`);
  assert.equal(headers["content-length"], String(image.length));
  assert.equal(headers["accept-ranges"], "bytes");
  assert.equal(headers["cache-control"], "no-cache");
  assert.equal(headers["oci-namespace"], "docker.io");
  assert.equal(headers["x-content-type-options"], "nosniff");
  assert.equal(headers["cache-status"], "pullring; fwd=miss; detail=upstream");
  assert.match(headers["x-request-id"] as string, /^test-/);
  const again = await ask("/v2/acme/a/manifests/latest");
  assert.equal(again.headers["cache-status"], "pullring; hit; detail=disk");
  assert.equal(again.headers["oci-namespace"], undefined);
});

test("HEAD has the headers of GET and no body", async () => {
  for (const path of ["/v2/acme/a/manifests/latest", `/v2/acme/a/manifests/${manifest}`, blobPath]) {
    const [head, get] = [await ask(path, { method: "HEAD" }), await ask(path)];
    assert.equal(head.body.length, 0);
    for (const name of ["content-length", "content-type", "docker-content-digest", "etag", "cache-control"])
      assert.equal(head.headers[name], get.headers[name], `${path} ${name}`);
  }
});

test("If-None-Match answers 304, quoted, weak, unquoted or *, and only for this digest", async () => {
  for (const value of [`"${blob}"`, `W/"${blob}"`, blob, "*", `"x", "${blob}"`]) {
    const answer = await ask(blobPath, { headers: { "if-none-match": value } });
    assert.deepEqual([answer.status, answer.body.length, answer.headers.etag], [304, 0, `"${blob}"`], value);
  }
  assert.equal((await ask(blobPath, { headers: { "if-none-match": `"${digest("0")}"` } })).status, 200);
});

const ranges: readonly [range: string, contentRange: string, start: number, end: number][] = [
  ["bytes=500-1499", "bytes 500-1499/2048", 500, 1500],
  ["bytes=500-", "bytes 500-2047/2048", 500, 2048],
  ["bytes=0-", "bytes 0-2047/2048", 0, 2048],
  ["bytes=-500", "bytes 1548-2047/2048", 1548, 2048],
  ["bytes=2000-5000", "bytes 2000-2047/2048", 2000, 2048],
];
for (const [range, contentRange, start, end] of ranges) {
  test(`Range ${range} is answered by 206 with exactly its bytes`, async () => {
    const answer = await ask(blobPath, { headers: { range } });
    assert.equal(answer.status, 206);
    assert.equal(answer.headers["content-range"], contentRange);
    assert.equal(answer.headers["content-length"], String(end - start));
    assert.ok(answer.body.equals(blobBytes.subarray(start, end)));
  });
}

test("an unsatisfiable or reversed range is 416 with the length", async () => {
  for (const range of ["bytes=500-0", "bytes=5000-10000"]) {
    const answer = await ask(blobPath, { headers: { range } });
    assert.deepEqual([answer.status, answer.headers["content-range"]], [416, "bytes */2048"]);
  }
});

test("If-Range with another validator gets the whole body", async () => {
  const headers = { range: "bytes=0-9" };
  assert.equal((await ask(blobPath, { headers: { ...headers, "if-range": `"${blob}"` } })).status, 206);
  assert.equal((await ask(blobPath, { headers: { ...headers, "if-range": '"other"' } })).status, 200);
});

test("1,024 ranges come as multipart/byteranges in the order they were asked for", async () => {
  const spans = Array.from({ length: 1024 }, (_, index) => 2046 - 2 * index);
  const answer = await ask(blobPath, { headers: { range: `bytes=${spans.map((at) => `${at}-${at}`).join(", ")}` } });
  assert.equal(answer.status, 206);
  assert.equal(answer.headers["content-range"], undefined);
  const boundary = /boundary=(.*)$/.exec(answer.headers["content-type"] ?? "")?.[1] ?? "";
  const parts = answer.body.toString("latin1").split(`--${boundary}`).slice(1, -1);
  const got = parts.map((part) => {
    const [head = "", body = ""] = part.split("\r\n\r\n");
    assert.equal(body.length, 3);
    return [Number(/bytes (\d+)-/.exec(head)?.[1]), body.charCodeAt(0)];
  });
  assert.deepEqual(
    got,
    spans.map((at) => [at, blobBytes[at]]),
  );
  assert.equal(answer.headers["content-length"], String(answer.body.length));
});

test("verbs and paths that a cache does not serve are 405, what is outside /v2/ is 404", async () => {
  for (const [method, path] of [
    ["PUT", "/v2/acme/a/manifests/latest"],
    ["POST", "/v2/acme/a/blobs/uploads/"],
    ["DELETE", blobPath],
    ["PATCH", blobPath],
    ["GET", "/v2/_catalog"],
  ] as const) {
    const answer = await ask(path, { method });
    assert.deepEqual(
      [answer.status, code(answer), answer.headers["content-type"]],
      [405, "UNSUPPORTED", "application/json"],
    );
  }
  for (const path of ["/", "/v1/", "/admin/v1/ring", "/%", "/v2/a"]) assert.equal((await ask(path)).status, 404, path);
});

test("names, tags and digests that are none are 400, unknown upstreams 404, and nothing is asked upstream", async () => {
  upstream.requests.length = 0;
  const table: readonly [path: string, status: number, code: string][] = [
    ["/v2/Acme/manifests/x", 400, "NAME_INVALID"],
    ["/v2/../../etc/passwd/manifests/x", 400, "NAME_INVALID"],
    ["/v2/%2e%2e/manifests/x", 400, "NAME_INVALID"],
    ["/v2/acme/a/manifests/.x", 400, "MANIFEST_INVALID"],
    ["/v2/acme/a/manifests/sha256:totallywrong", 400, "DIGEST_INVALID"],
    ["/v2/acme/a/blobs/sha256:AA", 400, "DIGEST_INVALID"],
    ["/v2/acme/a/manifests/x?ns=evil.example", 404, "NAME_UNKNOWN"],
    ["/v2/ghcr.io/a/b/manifests/x?ns=docker.io", 400, "NAME_INVALID"],
    ["/v2/169.254.169.254/latest/manifests/x", 404, "NAME_UNKNOWN"],
  ];
  for (const [path, status, expected] of table) {
    const answer = await ask(path);
    assert.deepEqual([answer.status, code(answer)], [status, expected], path);
  }
  assert.deepEqual(upstream.requests, []);
});

test("missing content is 404 with the code of its kind", async () => {
  const blobAnswer = await ask(`/v2/acme/a/blobs/${digest("9")}`);
  assert.deepEqual([blobAnswer.status, code(blobAnswer)], [404, "BLOB_UNKNOWN"]);
  const manifestAnswer = await ask("/v2/acme/a/manifests/none");
  assert.deepEqual([manifestAnswer.status, code(manifestAnswer)], [404, "MANIFEST_UNKNOWN"]);
});

test("when upstream refuses and nothing is cached, the fallback decides what clients do", async () => {
  const other = digest("8") as Digest;
  upstream.before = () => {
    throw new PullringError("throttled", "429 from upstream", { retryAfterSec: 21_600 });
  };
  const manifestAnswer = await ask(`/v2/acme/a/manifests/${other}`);
  assert.deepEqual([manifestAnswer.status, code(manifestAnswer)], [503, "UNAVAILABLE"]);
  const blobAnswer = await ask(`/v2/acme/a/blobs/${other}`);
  assert.deepEqual([blobAnswer.status, code(blobAnswer)], [404, "BLOB_UNKNOWN"]);
  knobs.fallback = "hold";
  const held = await ask(`/v2/acme/a/manifests/${other}`);
  assert.deepEqual([held.status, code(held), held.headers["retry-after"]], [429, "TOOMANYREQUESTS", "5"]);
  knobs.fallback = "direct";
  upstream.before = () => {};
});

test("a stale tag says so: Warning, Age and Cache-Status", async () => {
  await ask("/v2/acme/a/manifests/latest");
  await clock.advance(100_000);
  upstream.before = () => {
    throw new PullringError("unavailable", "down");
  };
  const { status, headers } = await ask("/v2/acme/a/manifests/latest");
  upstream.before = () => {};
  assert.equal(status, 200);
  assert.match(headers["cache-status"] as string, /^pullring; hit; ttl=-\d+; detail=stale$/);
  assert.match(headers.warning as string, /^110 pullring ".*299 - "stale: upstream is down/);
  assert.ok(Number(headers.age) >= 100);
  assert.equal(ended.at(-1)?.outcome, "stale");
});

test("a client that our rules refuse sees what it would see of a repository that is not there", async () => {
  knobs.mayPull = false;
  const answer = await ask("/v2/acme/a/manifests/latest");
  knobs.mayPull = true;
  assert.deepEqual(
    [answer.status, code(answer), answer.headers["www-authenticate"]],
    [404, "MANIFEST_UNKNOWN", undefined],
  );
  assert.equal(ended.at(-1)?.outcome, "denied");
});

test("a login is asked for only when one is configured; a foreign network is 403", async () => {
  knobs.login = true;
  const answer = await ask("/v2/");
  knobs.login = false;
  assert.equal(answer.status, 401);
  assert.match(answer.headers["www-authenticate"] as string, /^Basic realm=/);
  knobs.network = false;
  const foreign = await ask("/v2/");
  knobs.network = true;
  assert.deepEqual([foreign.status, code(foreign)], [403, "DENIED"]);
});

test("a tag list is paged by n and last, and its link comes back the way the client came", async () => {
  upstream.put(repositoryA, image, { tag: "one", mediaType });
  upstream.put(repositoryA, image, { tag: "two", mediaType });
  const answer = await ask("/v2/docker.io/acme/a/tags/list?n=2&ns=docker.io");
  const { name, tags } = JSON.parse(answer.body.toString()) as { name: string; tags: string[] };
  assert.equal(name, "docker.io/acme/a");
  assert.equal(tags.length, 2);
  assert.equal(answer.headers.link, `</v2/docker.io/acme/a/tags/list?n=2&last=${tags[1]}&ns=docker.io>; rel="next"`);
  const none = await ask("/v2/acme/a/tags/list?n=0");
  assert.deepEqual([JSON.parse(none.body.toString()).tags, none.headers.link], [[], undefined]);
});

test("referrers are an index, filtered only where it says so", async () => {
  const answer = await ask(`/v2/acme/a/referrers/${manifest}?artifactType=application/x`);
  assert.equal(answer.status, 200);
  assert.equal(answer.headers["content-type"], "application/vnd.oci.image.index.v1+json");
  assert.equal(answer.headers["oci-filters-applied"], "artifactType");
  assert.deepEqual(JSON.parse(answer.body.toString()).manifests, []);
  assert.equal((await ask(`/v2/acme/a/referrers/${manifest}`)).headers["oci-filters-applied"], undefined);
});

test("health words are answered here too, without reasons", async () => {
  const live = await ask("/livez");
  assert.deepEqual([live.status, live.body.toString()], [200, "ok\n"]);
  assert.equal((await ask("/readyz")).status, 503);
  for (const path of ["/livez", "/readyz"]) {
    const [head, get] = [await ask(path, { method: "HEAD" }), await ask(path)];
    assert.deepEqual([head.status, head.body.length], [get.status, 0]);
  }
});

/** What comes back for bytes of our own, until the connection ends. */
async function sendRaw(bytes: string): Promise<string> {
  const socket = connect((app.server.address() as AddressInfo).port, "127.0.0.1");
  socket.end(bytes);
  let text = "";
  for await (const chunk of socket) text += String(chunk);
  return text;
}

test("bytes that are no request get one answer in the registry's words, and are told of once", async () => {
  unreadable.length = 0;
  const long = `GET /v2/ HTTP/1.1\r\nhost: a\r\nx-long: ${"a".repeat(70 * 1024)}\r\n\r\n`;
  for (const [bytes, status] of [
    ["nonsense\r\n\r\n", 400],
    [long, 431],
  ] as const) {
    const [head = "", body = ""] = (await sendRaw(bytes)).split("\r\n\r\n");
    assert.match(head, new RegExp(`^HTTP/1.1 ${status} .*Content-Type: application/json`, "s"));
    const { errors } = JSON.parse(body) as { errors: { code: string }[] };
    assert.deepEqual(
      errors.map(({ code }) => code),
      ["UNSUPPORTED"],
    );
  }
  assert.deepEqual(
    unreadable.map(({ status }) => status),
    [400, 431],
  );
});

test("a head of 60 KiB is read, a longer one is 431", async () => {
  assert.equal((await ask("/v2/", { headers: { "x-long": "a".repeat(60 * 1024) } })).status, 200);
  assert.equal((await ask("/v2/", { headers: { "x-long": "a".repeat(70 * 1024) } })).status, 431);
});

test("every request ended in one outcome, with its route and bytes", () => {
  assert.ok(ended.length > 50);
  for (const { outcome, tier, route, bytes, request } of ended) {
    assert.ok(outcome && tier && route);
    if (request.method === "HEAD" || outcome === "not_modified") assert.equal(bytes, 0);
  }
});
