import assert from "node:assert/strict";
import { test } from "node:test";

import {
  canonicalPattern,
  canonicalRepository,
  imagePatternKind,
  placePatternKind,
  repositoryPatternKind,
} from "./pattern.ts";

const accepted = [
  { kind: repositoryPatternKind, patterns: ["acme/**", "library/alpine", "**", "*", "a/*/c"] },
  { kind: placePatternKind, patterns: ["docker.io/acme/**", "**", "*/acme/*", "localhost:5000/a", "ghcr.io/a/**"] },
  {
    kind: imagePatternKind,
    patterns: ["docker.io/library/*:latest", "**", "docker.io/**", "**:v1.*", "localhost:5000/a:B_1", "ghcr.io/a**"],
  },
];
for (const { kind, patterns } of accepted) {
  for (const pattern of patterns) {
    test(`${pattern} is ${kind.allowed.slice(0, 40)}…`, () => assert.equal(kind.parse(pattern), pattern));
  }
}

const refused = [
  {
    kind: repositoryPatternKind,
    patterns: ["", "/a", "a/", "a//b", "Acme/**", "a/***", "a/?", "a/{b,c}", "a:latest", "a b", 5],
  },
  {
    kind: placePatternKind,
    patterns: ["alpine", "*", "docker.io/a:latest", "docker.io/", "docker.io:x/a", "docker.io/a:5/b"],
  },
  {
    kind: imagePatternKind,
    patterns: [
      "alpine:latest",
      "docker.io/library/*",
      "docker.io/library/alpine",
      "docker.io/a:b:c",
      "docker.io/a@sha256:00",
    ],
  },
];
for (const { kind, patterns } of refused) {
  for (const pattern of patterns) {
    test(`${JSON.stringify(pattern)} is not ${kind.allowed.slice(0, 40)}…`, () =>
      assert.equal(kind.parse(pattern), undefined));
  }
}

test("a pattern is put in the words of requests: aliases folded, library/ added on Docker Hub", () => {
  const canonical = new Map([
    ["docker.io", "docker.io"],
    ["index.docker.io", "docker.io"],
    ["ghcr.io", "ghcr.io"],
  ]);
  const words: [string, string][] = [
    ["index.docker.io/acme/**", "docker.io/acme/**"],
    ["docker.io/alpine:*", "docker.io/library/alpine:*"],
    ["index.docker.io/*:latest", "docker.io/library/*:latest"],
    ["docker.io/**", "docker.io/**"],
    ["docker.io/**:latest", "docker.io/**:latest"],
    ["ghcr.io/alpine:*", "ghcr.io/alpine:*"],
    ["*/alpine:*", "*/alpine:*"],
    ["**", "**"],
  ];
  for (const [written, meant] of words) assert.equal(canonicalPattern(written, canonical), meant);
  assert.equal(canonicalRepository("alpine", "docker.io"), "library/alpine");
  assert.equal(canonicalRepository("alpine", "ghcr.io"), "alpine");
});
