import assert from "node:assert/strict";
import { test } from "node:test";

import { makeHealth } from "./health.ts";

test("degraded is still ready, draining is not, and alive is neither's business", () => {
  let reasons: string[] = [];
  const health = makeHealth({ degradedBy: () => reasons });
  assert.deepEqual(health.readyz(), { status: 200, word: "ok", reasons: [] });
  reasons = ["no disk: EROFS"];
  assert.deepEqual(health.readyz(), { status: 200, word: "degraded", reasons });
  health.drain();
  assert.deepEqual([health.readyz().status, health.readyz().word], [503, "draining"]);
  assert.equal(health.livez().status, 200);
});
