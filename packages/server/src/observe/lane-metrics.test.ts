import assert from "node:assert/strict";
import { test } from "node:test";

import { sampleLane } from "@pullring/testkit";

import type { LaneState } from "../quota/quota-watch.ts";
import { makeMetrics } from "./metrics.ts";

const key = "docker.io source:203.0.113.10";
const budget: NonNullable<LaneState["budget"]> = {
  key,
  limit: 200,
  remaining: 42,
  inFlight: 0,
  windowSec: 21_600,
  spent: 158,
  observedAt: undefined,
  resetAt: undefined,
  coolDownUntil: undefined,
};

test("lanes are told with what they have left, and those that no longer hold are gone", async () => {
  const metrics = makeMetrics();
  let states: readonly LaneState[] = [{ lane: sampleLane("n1"), budget, forecast: undefined }];
  metrics.readLanes(() => states);
  const told = async (): Promise<readonly string[]> =>
    (await metrics.text()).split("\n").filter((line) => /^pullring_(quota|lane)_/.test(line));
  const labels = `upstream="docker.io",lane="ci@a@n1"`;
  assert.deepEqual(await told(), [
    `pullring_quota_remaining{${labels}} 42`,
    `pullring_quota_limit{${labels}} 200`,
    `pullring_lane_benched{${labels},reason=""} 0`,
  ]);
  states = [
    { lane: sampleLane("n1", { benched: "login" }), budget: { ...budget, remaining: -1 }, forecast: undefined },
  ];
  assert.deepEqual(await told(), [
    `pullring_quota_remaining{${labels}} 0`,
    `pullring_quota_limit{${labels}} 200`,
    `pullring_lane_benched{${labels},reason="login"} 1`,
  ]);
  const unmetered = { ...budget, limit: undefined, remaining: undefined };
  states = [{ lane: sampleLane("n1", { unmetered: true }), budget: unmetered, forecast: undefined }];
  assert.deepEqual(await told(), [`pullring_lane_benched{${labels},reason=""} 0`]);
});
