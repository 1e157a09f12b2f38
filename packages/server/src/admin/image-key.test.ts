import assert from "node:assert/strict";
import { test } from "node:test";

import { AdminProblem } from "./admin-problem.ts";
import { parseBlob, parseImage, parseKey } from "./image-key.ts";

const names = {
  default: "docker.io",
  canonical: new Map([
    ["docker.io", "docker.io"],
    ["index.docker.io", "docker.io"],
    ["ghcr.io", "ghcr.io"],
    ["registry.local:5000", "registry.local:5000"],
  ]),
};
const digest = `sha256:${"ab".repeat(32)}`;

test("a key is folded as a request's is: aliases, library/ and the default upstream", () => {
  for (const [text, key] of [
    ["docker.io/library/alpine:3", "docker.io/library/alpine:3"],
    ["docker.io/alpine:3", "docker.io/library/alpine:3"],
    ["index.docker.io/alpine:3", "docker.io/library/alpine:3"],
    ["INDEX.docker.io/alpine:3", "docker.io/library/alpine:3"],
    ["alpine:3", "docker.io/library/alpine:3"],
    ["acme/app:V1_2.x", "docker.io/acme/app:V1_2.x"],
    ["ghcr.io/acme/app:v1", "ghcr.io/acme/app:v1"],
    ["registry.local:5000/app:v1", "registry.local:5000/app:v1"],
    [digest, digest],
  ] as const) {
    assert.equal(parseKey(text, names), key);
  }
});

test("an image without a tag is all of its tags, and no key", () => {
  const { repository, tag } = parseImage("registry.local:5000/app", names);
  assert.deepEqual([repository, tag], [{ upstream: "registry.local:5000", name: "app" }, undefined]);
  assert.throws(() => parseKey("registry.local:5000/app", names), { name: "AdminProblem", status: 400 });
});

test("what is no name is told as such, and an upstream that is not in the table as not found", () => {
  for (const [text, status] of [
    ["", 400],
    ["docker.io/", 400],
    ["docker.io/Alpine:3", 400],
    ["docker.io/alpine:", 400],
    ["docker.io/alpine:a b", 400],
    ["docker.io/../alpine:3", 400],
    ["docker.io/alpine@" + digest, 400],
    ["sha256:abc", 400],
    ["evil.example/app:v1", 404],
    ["registry.local:5001/app:v1", 404],
  ] as const) {
    assert.throws(
      () => parseKey(text, names),
      (error) => error instanceof AdminProblem && error.status === status,
      text,
    );
  }
});

test("only a digest that can be verified is a blob's", () => {
  assert.equal(parseBlob(digest), digest);
  for (const text of ["", "alpine", "md5:abc", digest.toUpperCase()])
    assert.throws(() => parseBlob(text), { name: "AdminProblem", status: 400 }, text);
});
