import assert from "node:assert/strict";
import { test } from "node:test";

import { virtualClock } from "@pullring/testkit";

import { replacing } from "./replacing-secret.ts";

test("a replaced secret signs until all nodes can have the new one, is accepted for a while longer, then is nothing", async () => {
  const clock = virtualClock();
  let text = "old";
  const secrets = replacing(() => text, clock);
  assert.deepEqual(secrets(), ["old"]);
  text = "new";
  assert.deepEqual(secrets(), ["old", "new"]);
  await clock.advance(119_000);
  assert.deepEqual(secrets(), ["old", "new"]);
  await clock.advance(2_000);
  assert.deepEqual(secrets(), ["new", "old"]);
  await clock.advance(600_000);
  assert.deepEqual(secrets(), ["new"]);
});
