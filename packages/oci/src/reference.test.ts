import assert from "node:assert/strict";
import { test } from "node:test";

import { isDigestReference, nameLengthMax, parseName, parseReference } from "./reference.ts";

test("names of the spec's grammar pass unchanged", () => {
  for (const name of ["a", "library/alpine", "a.b/c_d/e__f/g-h", "a--b", "0/1", "x".repeat(nameLengthMax)])
    assert.equal(parseName(name), name);
});

test("what is not a name is refused as NAME_INVALID", () => {
  for (const name of [
    "",
    "/",
    "a/",
    "/a",
    "a//b",
    "A",
    "a..b",
    "a___b",
    "-a",
    "a-",
    "a/../b",
    "a%2fb",
    "é",
    "a\n",
    "a".repeat(256),
  ])
    assert.throws(() => parseName(name), { code: "NAME_INVALID" }, name);
});

test("the name grammar is linear on hostile input", () => {
  const startedMs = performance.now();
  assert.throws(() => parseName(`${"a-".repeat(30_000)}!`));
  assert.throws(() => parseName(`${"a_".repeat(120)}!`));
  assert.ok(performance.now() - startedMs < 1_000);
});

test("a reference is a tag, or with a colon a digest", () => {
  assert.equal(isDigestReference(parseReference("v1.0-rc_1")), false);
  assert.equal(isDigestReference(parseReference(`sha256:${"1".repeat(64)}`)), true);
  assert.equal(parseReference("T".repeat(128)).length, 128);
  for (const text of ["", ".a", "-a", "a b", "a/b", "a".repeat(129), "ü"])
    assert.throws(() => parseReference(text), { code: "TAG_INVALID" }, text);
  assert.throws(() => parseReference("sha256:totallywrong"), { code: "DIGEST_INVALID" });
});
