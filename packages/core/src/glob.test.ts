import assert from "node:assert/strict";
import { test } from "node:test";

import { globMatcher } from "./glob.ts";

const table: readonly [pattern: string, matches: readonly string[], refuses: readonly string[]][] = [
  ["acme/**", ["acme/app", "acme/team/app", "acme"], ["acmeevil/app", "x/acme/app"]],
  [
    "docker.io/library/*:latest",
    ["docker.io/library/alpine:latest"],
    ["docker.io/library/alpine:3", "dockerXio/library/a:latest"],
  ],
  ["docker.io/library/alpine:*", ["docker.io/library/alpine:3.20"], ["docker.io/library/alpine/x:3"]],
  ["**", ["anything/at/all:x", ""], []],
  ["docker.io/**:v*", ["docker.io/a/b:v1"], ["docker.io/a/b:1"]],
  ["a/*/c", ["a/b/c"], ["a/b/b/c", "a//c/d"]],
  ["a+b", ["a+b"], ["aab"]],
];

for (const [pattern, matches, refuses] of table) {
  test(`${pattern} matches what it says and no more`, () => {
    const match = globMatcher(pattern);
    for (const text of matches) assert.equal(match(text), true, text);
    for (const text of refuses) assert.equal(match(text), false, text);
  });
}
