import assert from "node:assert/strict";
import { test } from "node:test";

import type { Tag } from "@pullring/oci";

import { freshnessOf } from "./freshness.ts";

test("the first rule that matches a tag counts, else the general window", () => {
  const policy = freshnessOf({
    freshMs: 60_000,
    staleIfErrorMs: 1,
    rules: [
      { match: "docker.io/library/*:latest", freshMs: 15_000 },
      { match: "docker.io/**", freshMs: 30_000 },
    ],
  });
  const of = (upstream: string, name: string, tag: string): number => policy.freshMs({ upstream, name }, tag as Tag);
  assert.equal(of("docker.io", "library/alpine", "latest"), 15_000);
  assert.equal(of("docker.io", "acme/team/app", "v1"), 30_000);
  assert.equal(of("ghcr.io", "acme/app", "latest"), 60_000);
  assert.equal(policy.listFreshMs({ upstream: "docker.io", name: "acme/app" }), 60_000);
});
