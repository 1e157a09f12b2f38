import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { formatDuration, parseDuration } from "./duration.ts";

const times: [string, number][] = [
  ["250ms", 250],
  ["60s", 60_000],
  ["15m", 900_000],
  ["6h", 21_600_000],
  ["30d", 2_592_000_000],
  ["1.5h", 5_400_000],
  ["0s", 0],
];

for (const [text, ms] of times) test(`${text} is ${ms} ms`, () => assert.equal(parseDuration(text), ms));

for (const wrong of [60, 0, "60", "", "s", "1w", "1 minute", "-1s", "1S", "1h30m", "99999999999999d", true, null]) {
  test(`${JSON.stringify(wrong)} is no time`, () => assert.equal(parseDuration(wrong), undefined));
}

test("what is formatted reads back as the same number", () => {
  fc.assert(fc.property(fc.nat({ max: 1e15 }), (ms) => parseDuration(formatDuration(ms)) === ms));
  assert.equal(formatDuration(90_000), "90s");
});
