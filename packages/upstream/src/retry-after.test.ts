import assert from "node:assert/strict";
import { test } from "node:test";

import { retryAfterSec } from "./retry-after.ts";

const nowMs = Date.UTC(2026, 10, 22, 8, 49, 37);

const cases: [string | undefined, number][] = [
  [undefined, 60],
  ["17", 17],
  [" 17 ", 17],
  ["0", 1],
  ["99999999", 6 * 3600],
  ["Sun, 22 Nov 2026 08:51:37 GMT", 120],
  ["Sunday, 22-Nov-26 08:51:37 GMT", 120],
  ["Sun, 22 Nov 2026 08:00:00 GMT", 1],
  ["Sun, 22 Nov 2056 08:00:00 GMT", 6 * 3600],
  ["985µs, allowed: 44000/minute", 1],
  ["1m30s", 1],
  ["1 minute", 1],
  ["-5", 1],
  ["1.5", 1],
  ["", 1],
  ["Sun, whenever", 1],
];

for (const [header, seconds] of cases) {
  test(`Retry-After ${String(header)} means ${seconds} s`, () => assert.equal(retryAfterSec(header, nowMs), seconds));
}
