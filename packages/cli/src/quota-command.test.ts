import assert from "node:assert/strict";
import { test } from "node:test";

import type { AdminClient } from "./admin-client.ts";
import type { QuotaAnswer, QuotaLane } from "./answers.ts";
import { quotaCommands } from "./quota-command.ts";

const at = "2026-11-23T12:00:00.000Z";
const inMinutes = (minutes: number): string => new Date(Date.parse(at) + minutes * 60_000).toISOString();

const lane: QuotaLane = {
  node: "n1",
  upstream: "docker.io",
  account: "ci",
  egress: "a",
  source: "5f0c",
  limit: 200,
  remaining: 100,
  windowSec: 21_600,
  observedAt: at,
  coolDownUntil: null,
  resetAt: inMinutes(190),
  spent: 100,
  budget: "docker.io source:5f0c",
  benched: null,
  unmetered: false,
  forecast: { perHour: 60, emptyAt: inMinutes(100) },
};
const anonymous: QuotaLane = {
  ...lane,
  account: null,
  source: null,
  budget: "docker.io egress:a@n1",
  limit: 100,
  remaining: 100,
  observedAt: null,
  resetAt: null,
  spent: 0,
  forecast: null,
};

async function quota(answer: Partial<QuotaAnswer>, values: Record<string, unknown> = {}) {
  const asked: string[] = [];
  const call: AdminClient["call"] = (_method, path) => {
    asked.push(path);
    return Promise.resolve({ lanes: [], missing: [], at, ...answer });
  };
  const client: AdminClient = { call, stream: () => Promise.reject(new Error("no lines are asked for")) };
  const ask = { client, values, words: [], asJson: false, say: () => {} };
  return { asked, ...(await quotaCommands.quota.run(ask)) };
}

test("a table with gauges, and how long the budgets last at this rate", async () => {
  const other = { ...lane, node: "n2" };
  const { text, code, asked } = await quota({ lanes: [anonymous, other, lane] });
  assert.equal(code, 0);
  assert.deepEqual(asked, ["/quota"]);
  assert.deepEqual(text.split("\n"), [
    "LANE                 EGRESS  NODE  CHARGED TO  LEFT                     WINDOW                    STATE",
    "docker.io/ci         a       n1    5f0c        ██████░░░░░░ 100 of 200  of 6 h, over in 3 h 10 m",
    "docker.io/ci         a       n2    5f0c        ██████░░░░░░ 100 of 200  of 6 h, over in 3 h 10 m",
    "docker.io/anonymous  a       n1                ████████████ 100 of 100  of 6 h                    assumed",
    "",
    "at this rate docker.io/ci is empty in 1 h 40 m",
    "",
  ]);
});

const rows: readonly [string, Partial<QuotaLane>, RegExp][] = [
  ["benched", { benched: "login", coolDownUntil: inMinutes(5) }, / benched: login$/m],
  ["refused", { coolDownUntil: inMinutes(12), remaining: 0 }, /░{12} 0 of 200 .* refused, again in 12 m$/m],
  ["whose cool-down is over", { coolDownUntil: inMinutes(-1) }, /over in 3 h 10 m$/m],
  ["empty", { remaining: 0 }, / empty$/m],
  ["in flight beyond its end", { remaining: -2 }, /░{12} 0 of 200 .* empty$/m],
  ["nearly empty", { remaining: 1 }, /█░{11} 1 of 200/],
  ["nearly full", { remaining: 199 }, /█{11}░ 199 of 200/],
  ["unmetered", { unmetered: true, limit: null, remaining: null, spent: 35 }, / unmetered, 35 spent$/m],
  [
    "without a quota",
    { upstream: "ghcr.io", budget: null, limit: null, remaining: null, windowSec: null },
    / no limit$/m,
  ],
  ["of which nothing is known", { limit: null, remaining: null, windowSec: null, resetAt: null }, / not known yet$/m],
];

for (const [what, more, expected] of rows) {
  test(`a lane that is ${what}`, async () => {
    const { text } = await quota({ lanes: [{ ...lane, forecast: null, ...more }] });
    assert.match(text, expected);
    assert.doesNotMatch(text, /at this rate/);
  });
}

test("the most urgent budget is named first, an address by whom upstream charges, an empty one not at all", async () => {
  const soon = { perHour: 600, emptyAt: inMinutes(4) };
  const charged = { ...anonymous, source: "203.0.113.10", budget: "docker.io source:203.0.113.10", forecast: soon };
  const empty = { ...lane, account: "old", budget: "x", remaining: 0, forecast: { perHour: 0, emptyAt: at } };
  const { text } = await quota({ lanes: [lane, charged, empty] });
  assert.match(
    text,
    /\n\nat this rate docker\.io\/anonymous by 203\.0\.113\.10 is empty in 4 m\nat this rate docker\.io\/ci is empty in 1 h 40 m\n$/,
  );
});

test("one node's, and nodes that were not reached", async () => {
  const { asked, text, note, code } = await quota({ missing: ["n3"] }, { self: true });
  assert.deepEqual([asked, text, note, code], [["/quota?node=self"], "no lanes\n", "not reached: n3", 5]);
});
