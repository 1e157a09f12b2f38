import assert from "node:assert/strict";
import { test } from "node:test";

import { parseTarget } from "./target.ts";

const digest = `sha256:${"b".repeat(64)}`;

/** The target without its query object, which compares badly. */
function read(raw: string): Record<string, unknown> | undefined {
  const target = parseTarget(raw);
  if (!target) return undefined;
  const { query: _, ...rest } = { query: undefined, ...target };
  return rest;
}

test("each endpoint is read with its name and reference", () => {
  assert.deepEqual(read("/v2/"), { kind: "ping" });
  assert.deepEqual(read("/v2"), { kind: "ping" });
  assert.deepEqual(read("/v2/alpine/manifests/3.20"), { kind: "manifest", path: "alpine", reference: "3.20" });
  assert.deepEqual(read(`/v2/a/b/c/blobs/${digest}`), { kind: "blob", path: "a/b/c", digest });
  assert.deepEqual(read("/v2/a/tags/list?n=3&last=x"), { kind: "tags", path: "a" });
  assert.deepEqual(read(`/v2/a/referrers/${digest}`), { kind: "referrers", path: "a", digest });
});

test("ns and the prefix are told apart and decoded as clients encode them", () => {
  assert.deepEqual(read("/v2/a/b/manifests/x?ns=ghcr.io%3A443"), {
    kind: "manifest",
    path: "a/b",
    reference: "x",
    ns: "ghcr.io:443",
  });
  assert.deepEqual(read("/quay.io/v2/a/b/manifests/x"), {
    kind: "manifest",
    path: "a/b",
    reference: "x",
    prefix: "quay.io",
  });
  assert.deepEqual(read("/quay.io/v2/"), { kind: "ping", prefix: "quay.io" });
  assert.deepEqual(read("/v2/localhost:5000/a/manifests/x"), {
    kind: "manifest",
    path: "localhost:5000/a",
    reference: "x",
  });
});

test("a repository may itself be called manifests, blobs or v2", () => {
  assert.deepEqual(read("/v2/manifests/manifests/manifests/x"), {
    kind: "manifest",
    path: "manifests/manifests",
    reference: "x",
  });
  assert.deepEqual(read("/v2/a/v2/manifests/x"), { kind: "manifest", path: "a/v2", reference: "x" });
});

test("an absolute-form target is read as its path (RFC 9112 §3.2.2)", () => {
  assert.deepEqual(read("http://evil.example:80/v2/a/manifests/x"), { kind: "manifest", path: "a", reference: "x" });
});

test("what the spec knows and a cache does not serve is unsupported", () => {
  for (const raw of ["/v2/_catalog", "/v2/a/blobs/uploads/", "/v2/a/blobs/uploads", "/v2/a/blobs/uploads/uuid?x=1"])
    assert.deepEqual(read(raw), { kind: "unsupported" }, raw);
});

test("what is outside the protocol is nothing", () => {
  for (const raw of [
    "/",
    "",
    "*",
    "/v1/",
    "/v2x/a/manifests/b",
    "/a/b/v2/c/manifests/d",
    "//v2/a/manifests/b",
    "/v2/a",
    "/v2/a/b/c",
  ])
    assert.equal(read(raw), undefined, raw);
});

test("nothing is decoded or normalised, so path tricks end in the grammar", () => {
  assert.deepEqual(read("/v2/../../etc/manifests/passwd"), {
    kind: "manifest",
    path: "../../etc",
    reference: "passwd",
  });
  assert.deepEqual(read("/v2/%2e%2e/manifests/x"), { kind: "manifest", path: "%2e%2e", reference: "x" });
  for (const raw of ["/v2/a/manifests/..%2f..", "/v2/a/manifests/", "/v2/a/manifests/a%20b"])
    assert.throws(() => parseTarget(raw), { code: "TAG_INVALID" }, raw);
  for (const raw of ["/v2/a/blobs/sha256:..", "/v2/a/blobs/latest", "/v2/a/referrers/x"])
    assert.throws(() => parseTarget(raw), { code: "DIGEST_INVALID" }, raw);
});
