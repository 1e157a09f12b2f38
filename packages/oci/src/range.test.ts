import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { parseRange, rangesMax } from "./range.ts";

const read = (header: string | undefined, size = 2048): unknown => {
  const answer = parseRange(header, size);
  return answer.kind === "spans" ? answer.spans.map(({ start, end }) => [start, end]) : answer.kind;
};

test("single, open-ended and suffix ranges, as the conformance suite asks them", () => {
  assert.deepEqual(read("bytes=500-1499"), [[500, 1500]]);
  assert.deepEqual(read("bytes=500-"), [[500, 2048]]);
  assert.deepEqual(read("bytes=-500"), [[1548, 2048]]);
  assert.deepEqual(read("bytes=2000-5000"), [[2000, 2048]]);
  assert.deepEqual(read("bytes=-5000"), [[0, 2048]]);
  assert.deepEqual(read("BYTES=0-0"), [[0, 1]]);
});

test("what lies outside the body is unsatisfiable, and so is a reversed range", () => {
  for (const header of ["bytes=5000-10000", "bytes=500-0", "bytes=2048-", "bytes=-0"])
    assert.equal(read(header), "unsatisfiable", header);
  assert.equal(read("bytes=0-", 0), "unsatisfiable");
});

test("no header and bad syntax mean the whole body", () => {
  for (const header of [
    undefined,
    "",
    "bytes",
    "bytes=",
    "bytes=-",
    "bytes=a-b",
    "items=0-1",
    "bytes=0-1,x",
    "bytes=1-2-3",
  ])
    assert.equal(read(header), "whole", header);
});

test("several ranges keep the order they were asked in; those outside are left out", () => {
  assert.deepEqual(read("bytes=2000-2047, 0-9,9000-9001"), [
    [2000, 2048],
    [0, 10],
  ]);
});

test("ranges that overlap, exceed the body together or are too many get the whole body", () => {
  assert.equal(read("bytes=0-9,5-20"), "whole");
  assert.equal(read("bytes=0-,0-"), "whole");
  const many = (count: number): string =>
    `bytes=${Array.from({ length: count }, (_, i) => `${2 * i}-${2 * i}`).join(",")}`;
  assert.equal((read(many(rangesMax), 10_000) as unknown[]).length, rangesMax);
  assert.equal(read(many(rangesMax + 1), 10_000), "whole");
});

test("whatever is asked, spans lie inside the body and are never empty", () => {
  const part = fc.oneof(
    fc.tuple(fc.nat(), fc.nat()).map(([a, b]) => `${a}-${b}`),
    fc.nat().map((a) => `${a}-`),
    fc.nat().map((a) => `-${a}`),
    fc.string(),
  );
  fc.assert(
    fc.property(fc.array(part), fc.nat(), (parts, size) => {
      const answer = parseRange(`bytes=${parts.join(",")}`, size);
      if (answer.kind === "spans")
        assert.ok(answer.spans.every(({ start, end }) => 0 <= start && start < end && end <= size));
    }),
  );
});
