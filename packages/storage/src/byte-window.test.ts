import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { makeByteWindow } from "./byte-window.ts";

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
      const window = makeByteWindow();
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
        const first = window.first(100, 5);
        assert.ok(first.length <= 5);
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
  const window = makeByteWindow();
  window.push(Uint8Array.of(1, 2));
  window.push(Uint8Array.of(3, 4));
  window.dropTo(2);
  for (const offset of [0, 1, 4, 5]) assert.throws(() => window.at(offset, 1), RangeError);
  assert.deepEqual([...window.at(3, 9)], [4]);
});
