import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import { repositoryKey } from "@pullring/core";
import type { Digest } from "@pullring/oci";
import { virtualClock } from "@pullring/testkit";

import { ClusterEvents } from "./cluster-events.ts";
import type { Outlet } from "./call.ts";
import { eventAnswer, type NodeEvent } from "./event-answers.ts";
import { EventFeed, type EventSources } from "./event-feed.ts";
import { eventLimits } from "./event-limits.ts";
import { loneRing } from "./lone-node.ts";

const digest = `sha256:${"ab".repeat(32)}` as Digest;
const repository = { upstream: "docker.io", name: "library/alpine" };

/** A fill whose bytes a test moves. */
function startFill() {
  const facts = { digest, repository, size: 100, source: "upstream:docker.io", lane: undefined, readers: 1 };
  const fill = { digest, bytes: 0, progress: () => ({ ...facts, bytes: fill.bytes, bytesPerSec: 1 }) };
  return fill;
}

function start(t: TestContext) {
  const clock = virtualClock();
  const feed = new EventFeed({ clock, boot: "b1" });
  const state = {
    epoch: "e1",
    draining: false,
    reasons: [] as string[],
    fills: [] as ReturnType<typeof startFill>[],
  };
  const sources: EventSources = {
    ring: () => ({ epoch: state.epoch, nodes: [{ id: "n1", state: "active", benched: false }] }),
    draining: () => state.draining,
    reasons: () => state.reasons,
    fills: () => state.fills,
    counters: () => ({ tiers: [], fills: { running: state.fills.length, queued: 0 } }),
  };
  feed.watch(sources);
  t.after(() => feed.close());
  const heard: NodeEvent[] = [];
  const kinds = (): string[] => heard.splice(0).map(({ kind }) => kind);
  return { clock, feed, state, heard, kinds, listen: () => feed.listen((event) => void heard.push(event)) };
}

test("who comes is told how things stand, then only what changes, and counters every two seconds", async (t) => {
  const { clock, state, kinds, listen } = start(t);
  state.reasons = ["no disk: EROFS"];
  state.fills = [startFill()];
  listen();
  assert.deepEqual(kinds(), ["ring", "degraded", "counters", "fill_started"]);
  await clock.advance(1_500);
  assert.deepEqual(kinds(), []);
  await clock.advance(500);
  assert.deepEqual(kinds(), ["counters"]);
  Object.assign(state, { epoch: "e2", draining: true, reasons: [] });
  await clock.advance(500);
  assert.deepEqual(kinds(), ["ring", "drain", "recovered"]);
});

test("a fill is told of twice a second at most, however often it grows, and its end once", async (t) => {
  const { clock, feed, state, heard, listen } = start(t);
  listen();
  heard.length = 0;
  const fill = startFill();
  state.fills = [fill];
  for (let step = 1; step <= 20; step += 1) {
    fill.bytes += 1;
    await clock.advance(100);
  }
  feed.observe({ kind: "fill_ended", digest, state: "passed", bytes: 20, kept: false });
  // Its last reader is still there.
  await clock.advance(1_000);
  state.fills = [];
  await clock.advance(1_000);
  const told = heard.filter(({ kind }) => kind.startsWith("fill_")).map(({ kind }) => kind);
  assert.deepEqual(told, ["fill_started", "fill_progress", "fill_progress", "fill_progress", "fill_ended"]);
});

test("a fill that nobody saw begin is told of as a whole", async (t) => {
  const { feed, state, heard, listen } = start(t);
  listen();
  heard.length = 0;
  state.fills = [startFill()];
  feed.observe({ kind: "fill_ended", digest, state: "done", bytes: 5, kept: true });
  const [began, ended] = heard;
  assert.deepEqual([began?.kind, ended?.kind], ["fill_started", "fill_ended"]);
  assert.equal(ended?.kind === "fill_ended" && ended.repository, repositoryKey(repository));
});

test("a peer gets what happened since it asked, and how things stand when that was too long ago or before a restart", async (t) => {
  const { clock, feed, state } = start(t);
  const kindsOf = (told: { events: readonly NodeEvent[] }): string[] => told.events.map(({ kind }) => kind);
  const first = feed.since("");
  assert.deepEqual(kindsOf(first), ["ring", "counters"]);
  feed.tell({ kind: "purge", purged: "docker.io/a:1" });
  state.draining = true;
  await clock.advance(500);
  const second = feed.since(first.cursor);
  assert.deepEqual(kindsOf(second), ["purge", "drain"]);
  assert.deepEqual(kindsOf(feed.since(second.cursor)), []);
  assert.deepEqual(kindsOf(feed.since(second.cursor.replace("b1", "b0"))), ["ring", "drain", "counters"]);
  for (let each = 0; each <= eventLimits.eventsKeptMax; each += 1) feed.tell({ kind: "purge", purged: "x" });
  assert.deepEqual(kindsOf(feed.since(second.cursor)), ["ring", "drain", "counters"]);
});

test("while nobody listens nothing is looked at, and nothing is kept", async (t) => {
  const { clock, feed, listen } = start(t);
  const end = listen();
  feed.since("");
  await clock.advance(eventLimits.peerInterestMs + 1_000);
  assert.equal(clock.pending, 1);
  end();
  await clock.advance(1_000);
  assert.equal(clock.pending, 0);
  feed.tell({ kind: "purge", purged: "docker.io/a:1" });
  assert.deepEqual(
    feed.since("b1.0").events.map(({ kind }) => kind),
    ["ring", "counters"],
  );
});

/** An outlet whose reader reads only when told to. */
function openOutlet() {
  const gone = new AbortController();
  const out = {
    signal: gone.signal,
    pendingBytes: 0,
    text: "",
    write(text: string) {
      out.pendingBytes += text.length;
      out.text += text;
      return Promise.resolve();
    },
    cut: () => gone.abort(new Error("cut")),
  } satisfies Outlet & { text: string };
  const events = () => [...out.text.matchAll(/^data: (.*)$/gm)].map(([, json = ""]) => JSON.parse(json) as NodeEvent);
  return { out, events };
}

function startCluster(t: TestContext, peers: Record<string, () => unknown>) {
  const { clock, feed } = start(t);
  const lone = loneRing({ id: "n1", ringName: "n1", weight: 1 });
  const [self] = lone.nodes();
  assert.ok(self);
  const ring = { ...lone, nodes: () => ["n1", ...Object.keys(peers)].map((id) => ({ ...self, id })) };
  const asked: string[] = [];
  const ask = (node: string, cursor: string): Promise<unknown> => {
    asked.push(`${node} ${cursor}`);
    return Promise.resolve().then(() => peers[node]?.());
  };
  const view = new ClusterEvents({ feed, ring, clock, ask });
  t.after(() => view.close());
  return { clock, feed, view, asked };
}

test("events of other nodes come with their name, and who can't be asked is named once", async (t) => {
  const at = "2026-01-01T00:00:00.000Z";
  const told = { cursor: "x.1", events: [{ kind: "purge", at, purged: "docker.io/a:1" }] };
  const { clock, view, asked } = startCluster(t, {
    n2: () => told,
    n3: () => {
      throw new Error("silent");
    },
  });
  const { out, events } = openOutlet();
  const served = view.open(false)(out);
  await clock.advance(3_000);
  for (const event of events()) assert.deepEqual(eventAnswer.parse(event), event);
  const named = events() as (NodeEvent & { node: string })[];
  assert.ok(named.some(({ node, kind }) => node === "n2" && kind === "purge"));
  assert.deepEqual(asked.filter((each) => each.startsWith("n2")).slice(0, 3), ["n2 ", "n2 ", "n2 x.1"]);
  // Once for who came, once for all.
  assert.equal(events().filter(({ kind }) => (kind as string) === "missing").length, 2);
  out.cut();
  await served;
  await clock.advance(5_000);
  const before = asked.length;
  await clock.advance(5_000);
  assert.equal(asked.length, before, "nobody is asked when nobody listens");
});

test("a listener that reads too slowly is dropped, and holds up no other", async (t) => {
  const { feed, view } = startCluster(t, {});
  const [slow, quick] = [openOutlet(), openOutlet()];
  const served = view.open(true)(slow.out);
  void view.open(true)(quick.out);
  const purged = "x".repeat(1_000);
  for (let each = 0; each < 300; each += 1) {
    feed.tell({ kind: "purge", purged });
    quick.out.pendingBytes = 0;
  }
  await served;
  assert.equal(slow.out.signal.aborted, true);
  assert.ok(slow.out.pendingBytes <= eventLimits.pendingBytesMax + 2_000, String(slow.out.pendingBytes));
  assert.equal(quick.events().filter(({ kind }) => kind === "purge").length, 300);
});

test("no more may listen than can be served", (t) => {
  const { view } = startCluster(t, {});
  for (let each = 0; each < eventLimits.listenersMax; each += 1) void view.open(true)(openOutlet().out);
  assert.throws(() => view.open(true), { status: 429 });
});
