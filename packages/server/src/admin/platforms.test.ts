import assert from "node:assert/strict";
import { test } from "node:test";

import { chooseManifests } from "./platforms.ts";

const manifests = [
  { digest: "sha256:1", platform: { os: "linux", architecture: "amd64" } },
  { digest: "sha256:2", platform: { os: "linux", architecture: "arm64", variant: "v8" } },
  { digest: "sha256:3", platform: { os: "linux", architecture: "arm", variant: "v6" } },
  { digest: "sha256:4", platform: { os: "linux", architecture: "arm", variant: "v7" } },
  { digest: "sha256:5", platform: { os: "unknown", architecture: "unknown" } },
  { digest: "sha256:6" },
];
const index = Buffer.from(JSON.stringify({ schemaVersion: 2, manifests }));
const chosen = (...platforms: string[]): string =>
  (chooseManifests(index, platforms) ?? []).map(({ digest }) => digest.slice(7)).join();

test("a platform names its manifest, with its variant or all of them, and attestations belong to none", () => {
  assert.deepEqual([chosen("linux/amd64"), chosen("linux/arm"), chosen("linux/arm/v7")], ["1", "3,4", "4"]);
  assert.deepEqual([chosen("linux/arm64"), chosen("linux/arm64/v8"), chosen("windows/amd64")], ["2", "2", ""]);
  assert.deepEqual([chosen("all"), chosen("linux/amd64", "linux/arm/v6")], ["1,2,3,4", "1,3"]);
});

test("what is no index has no platforms to choose from", () => {
  assert.equal(chooseManifests(Buffer.from('{"schemaVersion":2,"layers":[]}'), ["all"]), undefined);
});
