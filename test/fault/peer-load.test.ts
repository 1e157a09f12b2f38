import { test } from "node:test";

import { needsCluster } from "../real/cluster.ts";
import { openPeerRig } from "./fault-load-peer.ts";
import { sufferBriefly } from "./fault-load-brief.ts";

test(
  "a cluster under load serves hits as before while one of its nodes is silent, and recovers",
  { skip: needsCluster() },
  async (t) => {
    await using stack = new AsyncDisposableStack();
    const rig = await openPeerRig(stack);
    await sufferBriefly(t, rig, [rig.fault]);
  },
);
