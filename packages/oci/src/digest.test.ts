import assert from "node:assert/strict";
import { test } from "node:test";

import { algorithmOf, hexOf, isDigest, parseDigest } from "./digest.ts";

const sha256 = `sha256:${"a".repeat(64)}`;
const sha512 = `sha512:${"0".repeat(128)}`;

test("a digest that can be verified is read into its algorithm and hex", () => {
  assert.equal(algorithmOf(parseDigest(sha256)), "sha256");
  assert.equal(algorithmOf(parseDigest(sha512)), "sha512");
  assert.equal(hexOf(parseDigest(sha512)), "0".repeat(128));
});

for (const text of [
  "",
  "sha256:",
  `sha256:${"a".repeat(63)}`,
  `sha256:${"a".repeat(65)}`,
  `sha256:${"A".repeat(64)}`,
  `sha512:${"a".repeat(64)}`,
  `blake3:${"a".repeat(64)}`,
  `sha256:${"a".repeat(63)}/`,
  `${sha256}\n`,
  "sha256:baddigeststring",
]) {
  test(`${JSON.stringify(text.slice(0, 40))} is refused as DIGEST_INVALID`, () => {
    assert.equal(isDigest(text), false);
    assert.throws(() => parseDigest(text), { code: "DIGEST_INVALID" });
  });
}
