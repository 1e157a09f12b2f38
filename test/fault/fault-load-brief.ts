import assert from "node:assert/strict";
import type { TestContext } from "node:test";

import { briefBounds, briefTimes } from "./fault-load-bounds.ts";
import { type Fault, type FaultRig, FaultRun, judge } from "./fault-load-run.ts";

/** The faults one after the other, a few seconds each. */
export async function sufferBriefly(t: TestContext, rig: FaultRig, faults: readonly Fault[]): Promise<void> {
  const run = await FaultRun.start(rig, briefTimes);
  try {
    for (const fault of faults) {
      const report = await run.suffer(fault);
      const { problems, doubts } = judge(report, briefBounds);
      for (const doubt of doubts) t.diagnostic(`the machine is too busy to tell whether this is one: ${doubt}`);
      assert.deepEqual(problems, [], JSON.stringify(report));
    }
  } finally {
    await run.stop();
  }
}
