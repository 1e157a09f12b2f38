import assert from "node:assert/strict";
import { test } from "node:test";

import type { Tag } from "@pullring/oci";
import { anonymousLane, repositoryA, testCluster } from "@pullring/testkit";

import type { LaneOrder } from "./quota-ports.ts";
import { servePeers, type ServePeersParts } from "./serve-peers.ts";

const order: LaneOrder = { lane: "ci@a@n1", repository: repositoryA, reference: "latest" as Tag };

/** Parts of a node none of which a `fetch` may touch. */
function partsOf(fetchOnLane: ServePeersParts["fetchOnLane"]): { parts: ServePeersParts; asked: () => number } {
  const { nodes, upstream, calls } = testCluster();
  const { blobs, manifests, tags } = nodes[0]!.cache;
  const parts = { blobs, manifests, tags, purge: () => Promise.resolve(), fetchOnLane, observe: () => {} };
  return { parts, asked: () => upstream.requests.length + calls.length };
}

test("a fetch for a peer goes by the lane that it names, and asks no peer", async () => {
  const orders: LaneOrder[] = [];
  const answer = { lane: anonymousLane, bytes: Buffer.from("{}") };
  const { parts, asked } = partsOf((one) => (orders.push(one), Promise.resolve({ answer, outcome: "spent" })));
  assert.deepEqual(await servePeers(parts).fetch(order), { answer, outcome: "spent" });
  assert.deepEqual(orders, [order]);
  assert.equal(asked(), 0);
});

test("a node that asks by no lane for others says so, and spends nothing", async () => {
  const { parts, asked } = partsOf(undefined);
  await assert.rejects(servePeers(parts).fetch(order), { code: "unavailable" });
  assert.equal(asked(), 0);
});
