import assert from "node:assert/strict";
import { test } from "node:test";

import { contentLengthOf, contentRangeOf, digestClaimOf, isIdentity, mediaTypeOf } from "./headers.ts";

test("a Content-Range is read strictly", () => {
  const read = (text?: string) => contentRangeOf(text === undefined ? {} : { "content-range": text });
  assert.deepEqual(read("bytes 10-19/100"), { start: 10, end: 20, total: 100 });
  assert.deepEqual(read("bytes 0-0/*"), { start: 0, end: 1 });
  assert.deepEqual(read("bytes */0"), { total: 0 });
  for (const text of [
    undefined,
    "",
    "bytes 20-10/100",
    "bytes 0-100/100",
    "bytes -5/10",
    "items 0-1/2",
    "bytes 0-1/2, bytes 1-1/2",
  ])
    assert.equal(read(text), undefined, text);
});

test("a Content-Length that is not one number is none", () => {
  assert.equal(contentLengthOf({ "content-length": "42" }), 42);
  for (const text of ["", "-1", "4 2", "0x10", "1e3", "42, 42", "99999999999999999999"])
    assert.equal(contentLengthOf({ "content-length": text }), undefined, text);
});

test("a digest header that is no verifiable digest is as good as none", () => {
  const digest = `sha256:${"a".repeat(64)}`;
  assert.equal(digestClaimOf({ "docker-content-digest": digest }), digest);
  for (const text of ["", "sha256:abc", `SHA256:${"a".repeat(64)}`, `md5:${"a".repeat(32)}`, `${digest}, ${digest}`])
    assert.equal(digestClaimOf({ "docker-content-digest": text }), undefined, text);
});

test("only what looks like a media type is passed on as one", () => {
  assert.equal(mediaTypeOf({ "content-type": "text/plain; charset=utf-8" }), "text/plain; charset=utf-8");
  for (const text of ["", "json", "a b/c", "text/html, text/plain", `${"a".repeat(200)}/b`])
    assert.equal(mediaTypeOf({ "content-type": text }), undefined, text);
});

test("identity is the only content coding", () => {
  assert.equal(isIdentity({}), true);
  assert.equal(isIdentity({ "content-encoding": "Identity" }), true);
  for (const text of ["gzip", "zstd", "identity, gzip"]) assert.equal(isIdentity({ "content-encoding": text }), false);
});
