import assert from "node:assert/strict";
import { suite, test } from "node:test";

import { needsCluster } from "../real/cluster.ts";
import { problemsOf, rollingRestart } from "../soak/rolling-restart.ts";

suite("a rolling restart", { skip: needsCluster(), timeout: 180_000 }, () => {
  // A node that left is let into the ring again after 10 s, so this takes half a minute; `npm run soak` has the longer form.
  test("of three nodes under pulls fails none of them twice, and fetches no blob again", async (t) => {
    const rolled = await rollingRestart({ nodes: 3, rounds: 1, perSec: 20 });
    const { right, retried } = rolled.result;
    t.diagnostic(`${right} pulls, ${retried} of them after a retry; ${rolled.blobs} blobs`);
    assert.deepEqual(problemsOf(rolled), []);
  });
});
