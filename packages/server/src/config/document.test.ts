import assert from "node:assert/strict";
import { test } from "node:test";

import { readDocument } from "./document.ts";
import { ConfigError } from "./problem.ts";

const wrong: [string, string, string][] = [
  ["an indentation", "tags:\n   fresh: 60s\n  staleIfError: 1d\n", "c.yaml:3:1"],
  ["a bracket that is never closed", "listen: 0.0.0.0:1\nclients: { allow: [10.0.0.0/8 }\n", "c.yaml:2:"],
  ["a key that is given twice", "listen: a:1\nlisten: b:2\n", "c.yaml:2:1"],
  ["a tab", "tags:\n\tfresh: 60s\n", "c.yaml:2:1"],
  ["an alias of nothing", "listen: *here\n", "c.yaml:1:9"],
  ["a tag", "listen: !env PORT\n", "c.yaml:1:9"],
  ["a second document", "listen: a:1\n---\nlisten: b:1\n", "c.yaml:2:1"],
  ["a key that is a list", "? [a, b]\n: c\n", "c.yaml:1:"],
];

for (const [what, text, place] of wrong) {
  test(`${what} is refused with file, line and column`, () => {
    assert.throws(
      () => readDocument(text, "c.yaml"),
      (error) => error instanceof ConfigError && error.problems.some(({ key }) => key.startsWith(place)),
    );
  });
}

test("aliases that multiply are refused", () => {
  const levels = Array.from({ length: 9 }, (_, at) => `a${at + 1}: &a${at + 1} [${`*a${at},`.repeat(9)}]`);
  assert.throws(() => readDocument(`a0: &a0 x\n${levels.join("\n")}\n`, "c.yaml"), ConfigError);
});

test("what is wrong is told without a word of the file", () => {
  for (const text of [
    'password: "canary',
    "password: canary\n  x: y",
    "- {password: canary\n",
    "password: 'canary' canary",
  ]) {
    assert.throws(
      () => readDocument(text, "c.yaml"),
      (error) => error instanceof ConfigError && !error.message.includes("canary"),
    );
  }
});

test("an empty file, one of comments and JSON are documents", () => {
  assert.deepEqual(readDocument("", "c.yaml").tree, {});
  assert.deepEqual(readDocument("# nothing\n", "c.yaml").tree, {});
  assert.deepEqual(readDocument('{"tags": {"fresh": "1s"}}', "c.yaml").tree, { tags: { fresh: "1s" } });
});

test("a key is found where it stands, a missing one at what should hold it", () => {
  const { locate } = readDocument("tags:\n  rules:\n    - match: a\n    - &b { match: c }\n    - *b\n", "c.yaml");
  assert.equal(locate(["tags", "rules", 0, "match"]), "c.yaml:3:7");
  assert.equal(locate(["tags", "rules", 1, "match"]), "c.yaml:4:12");
  assert.equal(locate(["tags", "rules", 2, "match"]), "c.yaml:4:12");
  assert.equal(locate(["tags", "rules", 0, "fresh"]), "c.yaml:3:7");
  assert.equal(locate(["log", "level"]), "c.yaml:1:1");
});
