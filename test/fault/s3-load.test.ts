import { test } from "node:test";

import { needsCluster } from "../real/cluster.ts";
import { sufferBriefly } from "./fault-load-brief.ts";
import { openS3Rig } from "./fault-load-s3.ts";

test(
  "a cluster under load serves hits as before while its bucket is gone, slow or corrupts what it sends, and recovers",
  { skip: needsCluster() },
  async (t) => {
    await using stack = new AsyncDisposableStack();
    const rig = await openS3Rig(stack);
    await sufferBriefly(t, rig, rig.faults);
  },
);
