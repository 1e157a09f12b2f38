import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";

import { parseDigest, type Tag } from "@pullring/oci";
import { eventually } from "@pullring/testkit";
import fc from "fast-check";

import { formatFacts, parseAnswerFacts, parseHello, parseRequestFacts, parseResolved } from "./facts.ts";
import { clientFor, service, startPeer } from "./test-peers.ts";
import { formatPurge, formatTarget, parseOffset, parsePurge, parseTarget, type PeerTarget } from "./wire.ts";

const hex = fc.stringMatching(/^[0-9a-f]{64}$/);
const digests = hex.map((text) => parseDigest(`sha256:${text}`));
const repositories = fc.record({
  upstream: fc.constantFrom("docker.io", "ghcr.io", "registry.example:5000", "[::1]:5000", "127.0.0.1:80"),
  name: fc.stringMatching(/^[a-z0-9]{1,20}(?:[._-][a-z0-9]{1,9})?(?:\/[a-z0-9]{1,20}){0,3}$/),
});
const tags = fc.stringMatching(/^\w[\w.-]{0,127}$/) as fc.Arbitrary<Tag>;
const verbs = fc.constantFrom("get" as const, "read" as const);
const targets: fc.Arbitrary<PeerTarget> = fc.oneof(
  fc.record({ kind: fc.constant("hello" as const) }),
  fc.record({
    kind: fc.constantFrom("blob" as const, "manifest" as const),
    verb: verbs,
    repository: repositories,
    digest: digests,
  }),
  fc.record({ kind: fc.constant("tag" as const), verb: verbs, repository: repositories, tag: tags }),
);

test("every target is read as it was written", () => {
  fc.assert(
    fc.property(targets, (target) => {
      assert.deepEqual(parseTarget("GET", formatTarget(target)), structuredClone(target));
    }),
  );
  assert.deepEqual(parseTarget("POST", formatTarget({ kind: "purge" })), { kind: "purge" });
});

test("a target has one text only", () => {
  const edits = [
    (text: string) => `${text}&x=1`,
    (text: string) => `${text}#`,
    (text: string) => text.replace("/peer/v1/", "/peer/v2/"),
    (text: string) => text.replace("/peer/v1/", "/peer/v1//"),
    (text: string) => text.replace("blobs/sha256:", "blobs/sha256%3A").replace("manifests/", "manifests/../manifests/"),
    (text: string) =>
      text.replace(/repository=(.)/, (_, char: string) => `repository=%${char.charCodeAt(0).toString(16)}`),
    (text: string) => text.replace(/\?(upstream=[^&]*)&(repository=.*)$/, "?$2&$1"),
    (text: string) => text.toUpperCase(),
  ];
  fc.assert(
    fc.property(targets, fc.constantFrom(...edits), (target, edit) => {
      const text = formatTarget(target);
      assert.ok(edit(text) === text || parseTarget("GET", edit(text)) === undefined, edit(text));
    }),
  );
});

test("only reads of blobs may be heads, and only purges are posted", () => {
  fc.assert(
    fc.property(targets, (target) => {
      const text = formatTarget(target);
      const isHolding = target.kind === "blob" && target.verb === "read";
      assert.equal(parseTarget("HEAD", text) !== undefined, isHolding);
      for (const method of ["POST", "PUT", "DELETE", undefined]) assert.equal(parseTarget(method, text), undefined);
    }),
  );
});

test("what is no target, range, order or set of facts is none, and nothing throws", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json(), fc.string({ unit: "binary" })), (text) => {
      assert.equal(parseTarget("GET", text), undefined);
      assert.equal(parseTarget("GET", `/peer/v1/get/blobs/${text}`), undefined);
      assert.equal(parseOffset(`bytes=${text}`), undefined);
      assert.equal(parsePurge(text, 0), undefined);
      assert.equal(parseRequestFacts(text), undefined);
      assert.equal(parseAnswerFacts(text), undefined);
      assert.equal(parseHello(text), undefined);
      assert.equal(parseResolved(text, 0), undefined);
    }),
  );
});

test("an error that this version does not know is never a miss", () => {
  const facts = { from: "n2", epoch: "", boot: "", timeMs: 0 };
  for (const error of [{ code: "gone" }, { code: 7, reason: "so" }, {}]) {
    const parsed = parseAnswerFacts(JSON.stringify({ ...facts, error }));
    assert.deepEqual(parsed?.error, { code: "unavailable", reason: "down" });
  }
});

test("ranges are whole numbers from which on everything is wanted", () => {
  assert.equal(parseOffset(undefined), 0);
  assert.equal(parseOffset("bytes=0-"), 0);
  assert.equal(parseOffset("bytes=9007199254740991-"), Number.MAX_SAFE_INTEGER);
  for (const range of ["bytes=01-", "bytes=1-2", "bytes=-1", "bytes=1-,3-", "bytes=9007199254740993-", "lines=1-"])
    assert.equal(parseOffset(range), undefined, range);
});

test("a purge names something, and its time as an age", () => {
  const repository = { upstream: "docker.io", name: "a/b" };
  const order = { repository, tag: "latest" as Tag, atMs: 900 };
  assert.deepEqual(parsePurge(formatPurge(order, 1_000), 5_000), { ...order, atMs: 4_900 });
  for (const wrong of [{ agoMs: 1 }, { tag: "latest", agoMs: 1 }, { ...repository }, { ...repository, agoMs: "1" }])
    assert.equal(parsePurge(JSON.stringify(wrong), 0), undefined, JSON.stringify(wrong));
});

test("facts fit into a header, whatever they say", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (mediaType) => {
      const text = formatFacts({ mediaType });
      assert.match(text, /^[ -~]*$/);
      assert.deepEqual(JSON.parse(text), { mediaType });
    }),
  );
});

test("nothing that is sent to a peer's port breaks it", async (t) => {
  const peer = await startPeer(t, { service: service({}) });
  const facts = {
    from: "n1",
    to: "n2",
    host: new URL(peer.url).host,
    epoch: "",
    boot: "",
    timeMs: 0,
    nonce: "n".repeat(16),
  };
  const headers = fc.oneof(fc.constant(JSON.stringify(facts)), fc.json({ maxDepth: 2 }), fc.string());
  const requests = fc.record({
    method: fc.constantFrom("GET", "HEAD", "POST", "PUT", "TRACE"),
    target: fc.oneof(
      targets.map(formatTarget),
      fc.constant("/peer/v1/purge"),
      fc.webPath(),
      fc.string().map((text) => `/peer/v1/${text}`),
    ),
    range: fc.oneof(fc.constant("bytes=1-"), fc.string()),
    facts: headers,
    body: fc.string(),
  });
  await fc.assert(
    fc.asyncProperty(requests, async ({ method, target, range, facts: text, body }) => {
      const socket = connect(peer.port, "127.0.0.1");
      const closed = new Promise((resolve) => socket.once("close", resolve));
      let answer = "";
      socket.setEncoding("latin1").on("data", (chunk: string) => (answer += chunk));
      socket.on("error", () => {});
      const head = `${method} ${target} HTTP/1.1\r\nhost: x\r\nrange: ${range}\r\npullring-peer-request: ${text}\r\n`;
      socket.end(`${head}connection: close\r\ncontent-length: ${body.length}\r\n\r\n${body}`, "latin1");
      await closed;
      assert.doesNotMatch(answer, /^HTTP\/1\.1 500/);
    }),
    { numRuns: 300 },
  );
  assert.deepEqual(peer.faults, []);
  assert.equal((await clientFor(t, { urls: {} }).hello(peer.url, "n2")).id, "n2");
  await eventually(() => peer.served.length > 0);
});
