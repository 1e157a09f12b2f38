import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import { makeLocalBudgets, PullringError, type LaneFacts, type LaneFetch } from "@pullring/core";
import {
  eventually,
  laneBoards,
  startConnectProxy,
  startHub,
  startSocksProxy,
  virtualClock,
  type HubOptions,
} from "@pullring/testkit";

import type { Egress } from "./egress.ts";
import { accountOf, failsAs, library, rigFor, tag, type Rig, type RigOptions } from "./test-rig.ts";

const quota = { anonymous: true, limit: 100, windowSec: 21_600, reserve: 0, priority: [] };
const by = (last: number): Egress => ({ name: `${last}`, localAddress: `127.0.0.${last}` });
const one = { username: "one", password: "first" };

interface Node {
  readonly id: string;
  readonly egress: readonly Egress[];
  readonly accounts?: RigOptions["accounts"];
}

interface ClusterOptions {
  readonly hub?: HubOptions;
  readonly quota?: Partial<typeof quota>;
}

/** Nodes that share their budgets and know each other's lanes, before one hub. */
async function cluster(t: TestContext, nodes: readonly Node[], options: ClusterOptions = {}) {
  const hub = await startHub(options.hub ?? {});
  t.after(() => hub.close());
  hub.content.addImage({ repository: library.name, tag: "3", layers: [] });
  const clock = virtualClock();
  const [boards, budgets] = [laneBoards(clock), makeLocalBudgets({ clock })];
  const rigs = new Map<string, Rig>();
  const orders: string[] = [];
  const wire = {
    fetch: (async (node, order) => {
      orders.push(`${node} ${order.lane}`);
      return (rigs.get(node) ?? assert.fail(node)).fetchOnLane(order);
    }) as LaneFetch["fetch"],
  };
  const laneFetch: LaneFetch = { fetch: (node, order) => wire.fetch(node, order) };
  const upstream = {
    tokenOrigins: [hub.tokenOrigin],
    allowPrivateAddresses: true,
    quota: { ...quota, ...options.quota },
  };
  for (const { id, egress, accounts = [] } of nodes)
    rigs.set(
      id,
      rigFor(t, hub.url, { node: id, egress, accounts, upstream, clock, budgets, board: boards.of(id), laneFetch }),
    );
  const rigOf = (id: string): Rig => rigs.get(id) ?? assert.fail(id);
  const getBy = async (id: string): Promise<string> => (await rigOf(id).manifests.get(library, tag("3"))).lane.name;
  const gets = (remoteAddress?: string): number =>
    hub.ledger
      .filter({ kind: "manifest_get" })
      .filter((entry) => entry.remoteAddress === (remoteAddress ?? entry.remoteAddress)).length;
  const stateOf = async (key: string) => (await budgets.all()).find((state) => state.key === `docker.io ${key}`);
  return { hub, clock, boards, budgets, wire, orders, rigOf, getBy, gets, stateOf };
}

test("the lane with the largest share left goes first, by what upstream itself told before anything was spent", async (t) => {
  const { hub, getBy, gets } = await cluster(t, [{ id: "n1", egress: [by(2), by(3)] }]);
  hub.quota.setRemaining(40, { address: "127.0.0.2" });
  hub.quota.setRemaining(43, { address: "127.0.0.3" });
  for (let times = 0; times < 3; times += 1) assert.equal(await getBy("n1"), "anonymous@3@n1");
  for (let times = 0; times < 6; times += 1) await getBy("n1");
  assert.deepEqual([gets("127.0.0.2"), gets("127.0.0.3")], [3, 6]);
});

test("what nobody has told yet is asked once by each lane for all who wait, and costs nothing", async (t) => {
  const { hub, getBy, gets } = await cluster(t, [{ id: "n1", egress: [by(2), by(3)] }]);
  await Promise.all(Array.from({ length: 20 }, () => getBy("n1")));
  await getBy("n1");
  assert.equal(hub.ledger.count({ kind: "manifest_head", status: 200 }), 2);
  assert.deepEqual([gets(), hub.ledger.count({ counted: true })], [21, 21]);
  assert.ok(Math.abs(gets("127.0.0.2") - gets("127.0.0.3")) <= 1);
});

test("only manifest GETs are taken from a budget: with nothing left HEADs, tags and blobs go on", async (t) => {
  const { hub, rigOf, getBy, gets } = await cluster(t, [{ id: "n1", egress: [by(2)] }], { hub: { anonymousLimit: 1 } });
  await getBy("n1");
  const error = await getBy("n1").catch((found: unknown) => found);
  assert.ok(failsAs("throttled")(error));
  const { manifests, lists } = rigOf("n1");
  await manifests.head(library, tag("3"));
  await lists.tags(library, "");
  assert.ok(failsAs("throttled")(await manifests.refusal?.(library, tag("3"))));
  assert.deepEqual([gets(), hub.ledger.count({ status: 429 })], [1, 0]);
});

test("two proxies behind one address are one budget, and never more than that is spent", async (t) => {
  const proxies = [
    await startConnectProxy({ localAddress: "127.0.0.4" }),
    await startSocksProxy({ localAddress: "127.0.0.4" }),
  ];
  t.after(() => Promise.all(proxies.map((proxy) => proxy.close())));
  const egress = proxies.map(({ url }, index) => ({ name: `p${index}`, proxy: url }));
  const { hub, getBy, gets, stateOf } = await cluster(t, [{ id: "n1", egress }], { hub: { anonymousLimit: 3 } });
  const outcomes = await Promise.allSettled(Array.from({ length: 6 }, () => getBy("n1")));
  assert.equal(outcomes.filter(({ status }) => status === "fulfilled").length, 3);
  assert.deepEqual([gets(), hub.ledger.count({ status: 429 })], [3, 0]);
  assert.equal((await stateOf("source:127.0.0.4"))?.spent, 3);
  assert.ok(proxies.every(({ tunnels }) => tunnels.length > 0));
});

test("when the best lane is another node's, that node asks, once, and what it was told is known to all", async (t) => {
  const { hub, orders, getBy, gets, stateOf, rigOf } = await cluster(t, [
    { id: "n1", egress: [by(2)] },
    { id: "n2", egress: [by(3)] },
  ]);
  hub.quota.setRemaining(10, { address: "127.0.0.2" });
  await getBy("n2");
  await getBy("n1");
  assert.equal(await getBy("n1"), "anonymous@3@n2");
  assert.equal(orders.at(-1), "n2 anonymous@3@n2");
  assert.equal(gets("127.0.0.2"), 0);
  assert.equal((await stateOf("source:127.0.0.3"))?.remaining, 97);
  assert.equal((await stateOf("source:127.0.0.3"))?.inFlight, 0);
  assert.ok(
    rigOf("n1")
      .lanes()
      .every(({ node }) => node === "n1"),
  );
});

test("a node that can't be reached costs nothing; its lane is left for an own one", async (t) => {
  const { hub, wire, getBy, stateOf } = await cluster(t, [
    { id: "n1", egress: [by(2)] },
    { id: "n2", egress: [by(3)] },
  ]);
  hub.quota.setRemaining(10, { address: "127.0.0.2" });
  await getBy("n2");
  wire.fetch = () => Promise.reject(new PullringError("unreachable", "no answer"));
  assert.equal(await getBy("n1"), "anonymous@2@n1");
  assert.deepEqual([(await stateOf("source:127.0.0.3"))?.spent, (await stateOf("source:127.0.0.3"))?.inFlight], [1, 0]);
});

test("the pull limit that another node was told benches its budget for all, and at most one other lane is asked", async (t) => {
  const { hub, clock, getBy, gets, stateOf } = await cluster(t, [
    { id: "n1", egress: [by(2)] },
    { id: "n2", egress: [by(3)] },
    { id: "n3", egress: [by(4)] },
  ]);
  for (const id of ["n2", "n3"]) await getBy(id);
  hub.quota.setRemaining(10, { address: "127.0.0.2" });
  hub.quota.setRemaining(12, { address: "127.0.0.4" });
  hub.ledger.clear();
  const rule = hub.faults.add(
    { kind: "manifest_get", times: "always" },
    { status: 429, body: '{"errors":[{"code":"TOOMANYREQUESTS"}]}', headers: { "retry-after": "90" } },
  );
  await assert.rejects(getBy("n1"), failsAs("throttled"));
  assert.equal(gets(), 2);
  rule.remove();
  const met = hub.ledger.filter({ status: 429 }).map(({ remoteAddress }) => remoteAddress);
  assert.ok(met.includes("127.0.0.3"));
  for (const address of met) assert.equal((await stateOf(`source:${address}`))?.remaining, 0);
  await clock.advance(89_000);
  for (let times = 0; times < 3; times += 1) await getBy("n1").catch(() => {});
  for (const remoteAddress of met) assert.equal(gets(remoteAddress), 1);
  await clock.advance(1_001);
  await getBy("n1");
});

test("a lane of another node is asked only for what its account may, and only where it is not benched", async (t) => {
  const { boards, hub, orders, getBy } = await cluster(
    t,
    [{ id: "n1", egress: [by(2)], accounts: [accountOf(one, { repositories: ["acme/**"] })] }],
    {
      hub: { accounts: [one] },
    },
  );
  hub.quota.setRemaining(1, { address: "127.0.0.2" });
  const lane: LaneFacts = {
    name: "x",
    upstream: "docker.io",
    account: undefined,
    egress: "3",
    node: "n2",
    budget: "docker.io source:3",
    source: "3",
    unmetered: false,
    benched: undefined,
  };
  boards.of("n2").publish([
    { ...lane, name: "held", account: "one", budget: "docker.io account:one" },
    { ...lane, name: "benched", benched: "egress", budget: "docker.io source:4" },
    { ...lane, name: "uncounted", budget: undefined },
    { ...lane, name: "elsewhere", upstream: "ghcr.io" },
  ]);
  assert.equal(await getBy("n1"), "anonymous@2@n1");
  await assert.rejects(getBy("n1"), failsAs("throttled"));
  assert.deepEqual(orders, []);
});

test("a GET that is tried again is taken again, and one that was refused for its token is not counted", async (t) => {
  const { hub, clock, getBy, gets, stateOf } = await cluster(t, [{ id: "n1", egress: [by(2)] }]);
  await getBy("n1");
  const spent = async () => (await stateOf("source:127.0.0.2"))?.spent;
  assert.equal(await spent(), 1);
  hub.faults.add({ kind: "manifest_get" }, { status: 502 });
  let done = false;
  const again = getBy("n1").finally(() => (done = true));
  await eventually(() => clock.advance(20).then(() => done));
  await again;
  assert.deepEqual([gets(), await spent()], [3, 3]);
  // The hub's own time: its tokens have run out, and we don't know.
  hub.advance(600_000);
  await getBy("n1");
  assert.deepEqual([hub.ledger.filter({ kind: "manifest_get" }).at(-2)?.status, await spent()], [401, 4]);
});

test("an upstream without quota has no budgets: nothing is sounded, taken or refused", async (t) => {
  const hub = await startHub({ anonymousLimit: 100 });
  t.after(() => hub.close());
  hub.content.addImage({ repository: library.name, tag: "3", layers: [] });
  const clock = virtualClock();
  const budgets = makeLocalBudgets({ clock });
  const rig = rigFor(t, hub.url, {
    clock,
    budgets,
    upstream: { tokenOrigins: [hub.tokenOrigin], allowPrivateAddresses: true },
  });
  await rig.manifests.get(library, tag("3"));
  assert.deepEqual([await budgets.all(), hub.ledger.count({ kind: "manifest_head" })], [[], 0]);
  assert.equal(await rig.manifests.refusal?.(library, tag("3")), undefined);
  assert.ok(rig.lanes().every(({ budget }) => budget === undefined));
});
