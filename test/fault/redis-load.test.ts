import { test } from "node:test";

import { needsCluster } from "../real/cluster.ts";
import { openRedisRig, redisFaults } from "./fault-load-redis.ts";
import { sufferBriefly } from "./fault-load-brief.ts";

test(
  "a cluster under load serves hits as before while its Redis is killed, hung, wiped or full, fetches nothing twice, and recovers",
  { skip: needsCluster() },
  async (t) => {
    await using stack = new AsyncDisposableStack();
    const rig = await openRedisRig(stack);
    await sufferBriefly(t, rig, redisFaults(rig.cluster, rig.redis));
  },
);
