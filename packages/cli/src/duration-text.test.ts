import assert from "node:assert/strict";
import { test } from "node:test";

import { durationText } from "./duration-text.ts";

test("times are told in two units", () => {
  const minute = 60_000;
  const told = [10_000, minute, 59 * minute, 100 * minute, 120 * minute, 24 * 60 * minute, 1_500 * minute, -5];
  assert.deepEqual(told.map(durationText), [
    "less than a minute",
    "1 m",
    "59 m",
    "1 h 40 m",
    "2 h",
    "1 d",
    "1 d 1 h",
    "less than a minute",
  ]);
});
