import assert from "node:assert/strict";
import { suite, test } from "node:test";

import { needsCluster } from "../real/cluster.ts";
import { pull } from "../real/http.ts";
import { budgetOf, countedGets, makeTags, pullTags, sharesSpent, startSpenders, throttled } from "./quota-rig.ts";

suite("a cluster with several addresses and accounts", { skip: needsCluster(), timeout: 240_000 }, () => {
  // A tenth of what Docker Hub allows; `npm run soak -- --quota` has the whole.
  const allowance = { anonymousLimit: 10, accountLimit: 20 };

  test("spends every budget to its end and evenly, is never told 429, and asks nobody once they are empty", async () => {
    await using cluster = await startSpenders(allowance);
    const { hub } = cluster;
    const all = budgetOf(allowance);
    const names = makeTags(hub, all + 1);
    assert.deepEqual(new Set(await pullTags(cluster, names.slice(0, all / 2))), new Set([200]));
    for (const [payer, share] of Object.entries(sharesSpent(hub, allowance)))
      // One request of the smallest budget is ten points of it.
      assert.ok(Math.abs(share - 0.5) <= 0.1, `${payer} is spent to ${share}`);
    assert.deepEqual(new Set(await pullTags(cluster, names.slice(all / 2, all))), new Set([200]));
    assert.deepEqual([countedGets(hub), throttled(hub)], [all, 0]);
    hub.ledger.clear();
    const { status } = await pull(`${cluster.nodes[0]?.url}/v2/${names[all]}/manifests/1`);
    assert.equal(status, 503);
    assert.deepEqual(hub.ledger.filter({}), []);
  });
});
