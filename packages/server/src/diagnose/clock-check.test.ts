import assert from "node:assert/strict";
import { test } from "node:test";

import { clockCheck } from "./clock-check.ts";

const atMs = Date.parse("2026-01-01T00:00:00Z");

const found = (headers: Record<string, string>, nowMs = atMs) =>
  clockCheck({
    host: "registry.test",
    ask: () => Promise.resolve({ status: 200, headers, body: "" }),
    clock: { now: () => nowMs },
  }).run();

const date = (ms: number) => ({ date: new Date(ms).toUTCString() });

for (const [what, skewMs, status, words] of [
  ["the same second", 0, "ok", /as registry\.test has it/],
  ["a second that has half passed", -500, "ok", /as registry\.test has it/],
  ["a clock 9 s behind", 9_000, "ok", /as registry\.test has it/],
  ["a clock a minute behind", 60_000, "warn", /^60 s behind registry\.test/],
  ["a clock a minute ahead", -60_000, "warn", /^59 s ahead of registry\.test/],
  ["a clock ten minutes behind", 600_000, "fail", /^600 s behind/],
  ["a clock ten minutes ahead", -600_000, "fail", /^599 s ahead/],
] as const) {
  test(`${what} is ${status}`, async () => {
    const finding = await found(date(atMs + skewMs), atMs);
    assert.equal(finding.status, status);
    assert.match(finding.found, words);
    assert.equal(finding.advice !== undefined, status !== "ok");
  });
}

test("an upstream that tells no time, or nothing, leaves the clock open", async () => {
  assert.equal((await found({})).status, "warn");
  assert.equal((await found({ date: "yesterday" })).status, "warn");
  const check = clockCheck({
    host: "h",
    ask: () => Promise.reject(new Error("ECONNREFUSED")),
    clock: { now: () => atMs },
  });
  assert.match((await check.run()).found, /can't be asked/);
});
