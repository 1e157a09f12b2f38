import assert from "node:assert/strict";
import { test } from "node:test";

import { makeProgressBar } from "./progress-bar.ts";

function screen(isTTY: boolean) {
  const written: string[] = [];
  let now = 0;
  const terminal = { isTTY, columns: 60, write: (text: string): unknown => written.push(text) };
  const bar = makeProgressBar(terminal, () => now);
  return { written, bar, pass: (ms: number): void => void (now += ms) };
}

test("a bar grows, fits its line, and is gone in the end", () => {
  const { written, bar, pass } = screen(true);
  bar.show(0, "0 of 2");
  pass(200);
  bar.show(0.5, "1 of 2");
  pass(200);
  bar.show(1, "2 of 2".padEnd(100, "."));
  bar.end();
  bar.end();
  assert.match(written[0] ?? "", /^\r░{30} {3}0 %  0 of 2/);
  assert.match(written[1] ?? "", /^\r█{15}░{15} {2}50 %  1 of 2/);
  assert.ok((written[2] ?? "").length <= 1 + 59 + 3);
  assert.deepEqual(written.slice(3), ["\r\x1b[K"]);
});

test("it is drawn ten times a second at most, but for its end", () => {
  const { written, bar, pass } = screen(true);
  for (let part = 0; part < 1; part += 0.01) {
    bar.show(part, "");
    pass(10);
  }
  bar.show(1, "");
  assert.equal(written.length, 11);
});

test("nothing is drawn where nobody watches", () => {
  const { written, bar } = screen(false);
  bar.show(0.5, "1 of 2");
  bar.end();
  assert.deepEqual(written, []);
});
