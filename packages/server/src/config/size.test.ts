import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { formatSize, parseSize, sizeKind } from "./size.ts";

const sizes: [unknown, number][] = [
  ["256MiB", 268_435_456],
  ["20GiB", 21_474_836_480],
  ["1.5GiB", 1_610_612_736],
  ["2TiB", 2_199_023_255_552],
  ["100MB", 100_000_000],
  ["10kB", 10_000],
  ["10KB", 10_000],
  ["7B", 7],
  ["0.3KiB", 307],
  ["1 GiB", 1_073_741_824],
  ["4096", 4096],
  [4096, 4096],
  [0, 0],
];

for (const [text, bytes] of sizes) {
  test(`${JSON.stringify(text)} is ${bytes} bytes`, () => assert.equal(parseSize(text), bytes));
}

for (const wrong of [
  "",
  "GiB",
  "1Gi",
  "1gib",
  "1Gb",
  "-1MiB",
  "1e3",
  "1,5GiB",
  "0x10",
  "1 MiB ",
  "9007199254740993",
  "1e30TiB",
  -1,
  1e21,
  NaN,
  true,
  null,
  [],
  {},
]) {
  test(`${JSON.stringify(wrong)} is no size`, () => assert.equal(parseSize(wrong), undefined));
}

test("a size of too few bytes is refused, one of just enough is not", () => {
  assert.equal(sizeKind(1024).parse("1023"), undefined);
  assert.equal(sizeKind(1024).parse("1KiB"), 1024);
});

test("what is formatted reads back as the same number", () => {
  fc.assert(fc.property(fc.maxSafeNat(), (bytes) => parseSize(formatSize(bytes)) === bytes));
  assert.equal(formatSize(268_435_456), "256MiB");
  assert.equal(formatSize(50_000_000), "50MB");
});
