import assert from "node:assert/strict";
import { test } from "node:test";

import type { BudgetState } from "@pullring/core";
import { sampleLane } from "@pullring/testkit";

import type { LaneState } from "../quota/quota-watch.ts";
import { loneRing } from "./lone-node.ts";
import type { RingView } from "./ports.ts";
import { quotaCalls, quotaOf, type QuotaView } from "./quota-calls.ts";

const atMs = Date.UTC(2026, 10, 23, 12);
const at = (iso: number): string => new Date(iso).toISOString();

const budget: BudgetState = {
  key: "docker.io source:203.0.113.10",
  limit: 200,
  remaining: 42,
  inFlight: 1,
  windowSec: 21_600,
  spent: 157,
  observedAt: atMs,
  resetAt: atMs + 60_000,
  coolDownUntil: undefined,
};
const states: readonly LaneState[] = [
  { lane: sampleLane("n1"), budget, forecast: { perHour: 93.333, emptyAt: atMs + 5_000 } },
  {
    lane: sampleLane("n1", { account: undefined, name: "anonymous@a@n1", benched: "paused", source: undefined }),
    budget: undefined,
    forecast: undefined,
  },
];

const lone = loneRing({ id: "n1", ringName: "n1", weight: 1 });
const three: RingView = {
  ...lone,
  nodes: () => ["n1", "n2", "n3"].map((id) => ({ ...lone.nodes()[0]!, id })),
};

async function quota(ring: RingView, view: QuotaView, node = ""): Promise<Record<string, unknown>> {
  const [call] = quotaCalls({ ring, quota: view, clock: { now: () => atMs } });
  const answer = (await call!.run({ parameter: () => node, body: undefined, note: () => {} })) as Record<
    string,
    unknown
  >;
  assert.deepEqual(call!.answer.parse(answer), answer, "what the OpenAPI document says");
  return answer;
}

test("each lane is told with what its budget has left, in the contract's words", async () => {
  const view = quotaOf(
    () => Promise.resolve(states),
    () => Promise.reject(new Error("nobody")),
  );
  const { lanes, ...more } = await quota(lone, view);
  assert.deepEqual(more, { missing: [], at: at(atMs) });
  const known = {
    node: "n1",
    upstream: "docker.io",
    account: "ci",
    egress: "a",
    source: "203.0.113.10",
    limit: 200,
    remaining: 42,
    windowSec: 21_600,
    observedAt: at(atMs),
    coolDownUntil: null,
    spent: 157,
    lane: "ci@a@n1",
    budget: "docker.io source:203.0.113.10",
    benched: null,
    unmetered: false,
    inFlight: 1,
    resetAt: at(atMs + 60_000),
    forecast: { perHour: 93.3, emptyAt: at(atMs + 5_000) },
  };
  const unknown = { limit: null, remaining: null, windowSec: null, observedAt: null, spent: null, resetAt: null };
  const other = { account: null, source: null, lane: "anonymous@a@n1", benched: "paused", inFlight: 0, forecast: null };
  assert.deepEqual(lanes, [known, { ...known, ...unknown, ...other }]);
});

test("it is the whole cluster's, with who could not be asked, or one node's", async () => {
  const here = quotaOf(
    () => Promise.resolve(states),
    () => Promise.reject(new Error("nobody")),
  );
  const rows = await here.here();
  const told: Readonly<Record<string, unknown>> = { n2: rows, n3: [{ ...rows[0], remaining: "many" }] };
  const asked: string[] = [];
  const view = quotaOf(
    () => Promise.resolve(states),
    (node) => (asked.push(node), Promise.resolve(told[node])),
  );
  const answer = await quota(three, view);
  const nodes = (answer["lanes"] as { node: string }[]).map(({ node }) => node);
  assert.deepEqual([nodes, answer["missing"]], [["n1", "n1", "n2", "n2"], ["n3"]], "a stranger's word is none");
  asked.length = 0;
  assert.equal(((await quota(three, view, "self"))["lanes"] as unknown[]).length, 2);
  assert.deepEqual(asked, []);
  await assert.rejects(quota(three, view, "n2"), { status: 400 });
});
