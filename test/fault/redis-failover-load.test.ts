import { test } from "node:test";

import { needsCluster } from "../real/cluster.ts";
import { needsSentinels } from "../real/redis.ts";
import { openFailoverRig } from "./fault-load-redis.ts";
import { sufferBriefly } from "./fault-load-brief.ts";

test(
  "a cluster under load serves hits as before while its Redis fails over to a copy, fetches nothing twice, and recovers",
  { skip: needsCluster() || needsSentinels() },
  async (t) => {
    await using stack = new AsyncDisposableStack();
    const rig = await openFailoverRig(stack);
    await sufferBriefly(t, rig, [rig.fault]);
  },
);
