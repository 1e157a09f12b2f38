import assert from "node:assert/strict";
import { test } from "node:test";

import { digest, failsAs, hubRig, library, tag } from "./test-rig.ts";

test("a tag with priority is pulled to its last manifest when others may spend nothing any more", async (t) => {
  const quota = { anonymous: true, limit: 3, windowSec: 3_600, reserve: 2, priority: ["library/*:stable"] };
  const { hub, rig } = await hubRig(t, { hub: { anonymousLimit: 3 }, upstream: { quota } });
  const platforms = ["linux/amd64"];
  const index = hub.content.addIndex({ repository: library.name, tag: "stable", platforms, layers: [10] });
  const other = hub.content.addIndex({ repository: library.name, tag: "3", platforms, layers: [10] });
  const childOf = ({ images }: typeof index) => digest(images["linux/amd64"]?.digest ?? "");

  await rig.manifests.head(library, tag("3"));
  await rig.manifests.get(library, digest(other.digest));
  await assert.rejects(rig.manifests.get(library, childOf(other)), failsAs("throttled"));
  await assert.rejects(rig.manifests.get(library, digest(index.digest)), failsAs("throttled"));
  await rig.manifests.head(library, tag("stable"));
  await rig.manifests.get(library, digest(index.digest));
  await rig.manifests.get(library, childOf(index));
  assert.equal(hub.ledger.count({ kind: "manifest_get", status: 429 }), 0);
});
