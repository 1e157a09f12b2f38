import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { traceContextOf } from "./tracer.ts";

const [trace, span] = ["4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"];
const told = (traceparent: string | string[]): string | undefined => traceContextOf({ traceparent })?.traceparent;

test("a trace is gone on with as its header says, as far as this version knows", () => {
  assert.equal(told(`00-${trace}-${span}-01`), `00-${trace}-${span}-01`);
  assert.equal(told(`00-${trace}-${span}-00`), `00-${trace}-${span}-00`);
  assert.equal(told(`00-${trace}-${span}-03`), `00-${trace}-${span}-01`, "flags that are not known are not passed on");
  assert.equal(told(`cc-${trace}-${span}-01-what-the-future-holds`), `00-${trace}-${span}-01`);
});

test("what is no such header begins no trace and breaks nothing", () => {
  for (const text of [
    "",
    `00-${trace}-${span}`,
    `00-${trace}-${span}-01-more`,
    `00-${trace.toUpperCase()}-${span}-01`,
    `00-${"0".repeat(32)}-${span}-01`,
    `00-${trace}-${"0".repeat(16)}-01`,
    `ff-${trace}-${span}-01`,
    `00-${trace}-${span}-0x`,
    ` 00-${trace}-${span}-01`,
  ])
    assert.equal(told(text), undefined, text);
  assert.equal(told([`00-${trace}-${span}-01`]), undefined);
  fc.assert(fc.property(fc.string(), (text) => told(text) === undefined));
});

test("the state of other vendors goes along, bounded, and never alone", () => {
  const traceparent = `00-${trace}-${span}-01`;
  assert.equal(traceContextOf({ traceparent, tracestate: "a=1,b=2" })?.tracestate, "a=1,b=2");
  for (const tracestate of ["", "x".repeat(513), "a=\n"])
    assert.deepEqual(traceContextOf({ traceparent, tracestate }), { traceparent });
  assert.equal(traceContextOf({ tracestate: "a=1" }), undefined);
});
