import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { makeByteWindow } from "./byte-window.ts";
import { limits } from "./limits.ts";
import { makeSlabs } from "./slabs.ts";

const step = fc.oneof(
  fc.record({ kind: fc.constant("push" as const), length: fc.integer({ min: 1, max: 50 }) }),
  fc.record({ kind: fc.constant("drop" as const), offset: fc.integer({ min: 0, max: 3_000 }) }),
  fc.record({
    kind: fc.constant("shrink" as const),
    bytesMax: fc.integer({ min: 0, max: 500 }),
    offset: fc.integer({ min: 0, max: 3_000 }),
  }),
);

test("whatever is pushed and given up, the window holds the right bytes of what it says it holds", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const window = makeByteWindow(makeSlabs());
      const all: number[] = [];
      for (const each of steps) {
        const { start, end } = window;
        if (each.kind === "push") {
          const chunk = Uint8Array.from({ length: each.length }, (_, index) => (all.length + index) * 7);
          all.push(...chunk);
          window.push(chunk);
        } else if (each.kind === "drop") window.dropTo(each.offset);
        else window.shrink(each.bytesMax, each.offset);

        assert.equal(window.end, all.length);
        assert.ok(window.start >= start);
        if (each.kind === "push") assert.equal(window.start, start);
        else assert.ok(window.start === start || window.start <= Math.min(each.offset, end), "only what was given up");
        for (const offset of [window.start, window.end - 1, (window.start + window.end) >> 1]) {
          if (offset < window.start || offset >= window.end) continue;
          const bytes = window.at(offset, 20);
          assert.ok(bytes.length >= 1 && bytes.length <= 20);
          assert.deepEqual([...bytes], all.slice(offset, offset + bytes.length));
        }
        const first = window.first(100);
        assert.ok(first.reduce((sum, { length }) => sum + length, 0) <= 100);
        assert.deepEqual(
          first.flatMap((chunk) => [...chunk]),
          all.slice(window.start, window.start + first.reduce((sum, { length }) => sum + length, 0)),
        );
        assert.equal(first.length > 0, window.end > window.start);
      }
    }),
    { numRuns: 200 },
  );
});

test("bytes that are not held are never handed out", () => {
  const window = makeByteWindow(makeSlabs());
  window.push(Uint8Array.of(1, 2));
  window.push(Uint8Array.of(3, 4));
  window.dropTo(2);
  for (const offset of [0, 1, 4, 5]) assert.throws(() => window.at(offset, 1), RangeError);
  assert.deepEqual([...window.at(3, 9)], [4]);
});

const bytesOf = (length: number): Uint8Array => new Uint8Array(length).fill(1);

test("what a large body gathers in is used again once it is given up, unless somebody still looks at it", () => {
  const slabs = makeSlabs();
  const window = makeByteWindow(slabs);
  window.push(bytesOf(limits.slabBytes));
  const before = window.at(0, 1).buffer;
  window.dropTo(window.end);
  window.push(bytesOf(10));
  assert.equal(window.at(window.start, 1).buffer, before);

  window.lend();
  const lent = window.at(window.start, 10);
  window.dropTo(window.end);
  window.push(bytesOf(limits.slabBytes).fill(2));
  assert.deepEqual(
    [...lent],
    Array.from({ length: 10 }, () => 1),
  );
});

test("a chunk is the caller's again as soon as it is pushed", () => {
  const window = makeByteWindow(makeSlabs());
  const chunk = Uint8Array.of(1, 2, 3);
  window.push(chunk);
  chunk.fill(9);
  assert.deepEqual([...window.at(0, 3)], [1, 2, 3]);
});
