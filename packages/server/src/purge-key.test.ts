import assert from "node:assert/strict";
import { test } from "node:test";

import { parseReference, type Digest, type Tag } from "@pullring/oci";

import { purgeKey, purgeOrderOf } from "./purge-key.ts";

const repository = { upstream: "registry.test:5000", name: "acme/app" };

test("the key of a purge says again what was purged", () => {
  const orders = [
    { digest: `sha256:${"a".repeat(64)}` as Digest, atMs: 5 },
    { repository, tag: parseReference("1.0") as Tag, atMs: 5 },
    { repository, atMs: 5 },
  ];
  for (const order of orders) assert.deepEqual(purgeOrderOf(purgeKey(order), 5), order);
});

test("what is no key of a purge is nothing", () => {
  for (const key of [
    "",
    "x",
    "docker.io/",
    "docker.io/UPPER",
    "docker.io/a:.x",
    `docker.io/a:sha256:${"a".repeat(64)}`,
  ])
    assert.equal(purgeOrderOf(key, 5), undefined, key);
});
