import assert from "node:assert/strict";
import type { TestContext } from "node:test";

import { briefBounds, briefTimes } from "./fault-load-bounds.ts";
import { type Fault, type FaultRig, FaultRun, isTooBusy, judge } from "./fault-load-run.ts";

/** The faults one after the other, a few seconds each. */
export async function sufferBriefly(t: TestContext, rig: FaultRig, faults: readonly Fault[]): Promise<void> {
  const run = await FaultRun.start(rig, briefTimes);
  try {
    for (const fault of faults) {
      const report = await run.suffer(fault);
      if (isTooBusy(report)) t.diagnostic(`${fault.name}: the machine is too busy to say what it costs`);
      assert.deepEqual(judge(report, briefBounds), [], JSON.stringify(report));
    }
  } finally {
    await run.stop();
  }
}
