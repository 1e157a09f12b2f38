import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";

import { eventually, type Hub, type HubOptions, type LedgerEntry, mediaTypes, startHub } from "@pullring/testkit";

import { type Cluster, needsCluster, startCluster } from "../real/cluster.ts";
import type { ClusterNode } from "../real/cluster-node.ts";
import { pull } from "../real/http.ts";
import { makeTags, pullTags } from "./quota-rig.ts";
import { askRaw } from "./raw.ts";
import { reach } from "./rig.ts";

/** Long enough for a busy machine to ask all that must not go out within it. */
const retryAfterSec = 3;
const windowSec = 4;
const account = { username: "ci", password: "ci-secret" };
/** Every node may go out by any of them. */
const addresses = ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"] as const;

const accept = [mediaTypes.ociIndex, mediaTypes.ociManifest].join(", ");

interface Kind {
  readonly hub: HubOptions;
  readonly password?: string;
  readonly limit?: number;
}

/** One for each way to be refused, so that they pass at the same time on the same nodes. */
const upstreams = {
  "limit.test": { hub: { pullLimitRetryAfterSec: retryAfterSec } },
  "hour.test": { hub: { anonymousWindowSec: 3_600 } },
  "window.test": { hub: { anonymousWindowSec: windowSec } },
  "abuse.test": { hub: {} },
  "bare.test": { hub: {} },
  "silent.test": { hub: { rateHeaders: false }, limit: 2 },
  "paid.test": { hub: { accounts: [{ ...account, plan: "paid" }] }, password: account.password, limit: 2 },
  "wrong.test": { hub: { accounts: [account] }, password: "not the password" },
} satisfies Readonly<Record<string, Kind>>;
type Upstream = keyof typeof upstreams;

type IsOn = () => boolean;

interface Row {
  readonly upstream: string;
  readonly account: string | null;
  readonly source: string | null;
  readonly remaining: number | null;
  readonly windowSec: number | null;
  readonly resetAt: string | null;
  readonly coolDownUntil: string | null;
  readonly spent: number | null;
  readonly benched: string | null;
  readonly unmetered: boolean;
}

suite(
  "three nodes that upstream refuses something",
  {
    skip: needsCluster(),
    timeout: 120_000,
    concurrency: true,
  },
  () => {
    const stack = new AsyncDisposableStack();
    let hubs: Readonly<Record<Upstream, Hub>>;
    let cluster: Cluster;

    const configOf = ([name, hub]: readonly [string, Hub]) => {
      const { limit = 100 }: Kind = upstreams[name as Upstream];
      return [name, { ...reach(hub), quota: { limit, window: "6h", anonymous: name !== "paid.test" } }] as const;
    };

    before(
      async () => {
        const started = Object.entries(upstreams).map(async ([name, { hub }], index) => {
          const options: HubOptions = hub;
          return [name, await startHub({ ...options, seed: index + 1 })] as const;
        });
        hubs = Object.fromEntries(await Promise.all(started)) as Record<Upstream, Hub>;
        stack.defer(async () => void (await Promise.all(Object.values(hubs).map((hub) => hub.close()))));
        cluster = await startCluster({
          balancer: "none",
          config: {
            upstreams: Object.fromEntries(Object.entries(hubs).map(configOf)),
            accounts: (["paid.test", "wrong.test"] as const).map((upstream) => ({
              name: upstream.replace(".test", ""),
              upstream,
              username: account.username,
              password: upstreams[upstream].password,
            })),
            egress: addresses.map((localAddress, index) => ({ name: `address-${index}`, localAddress })),
            tags: { fresh: "0s" },
          },
        });
        stack.use(cluster);
      },
      { timeout: 60_000 },
    );
    after(() => stack.disposeAsync());

    /** Of one upstream, as the node itself sees its lanes. */
    async function lanesOf({ adminUrl }: ClusterNode, upstream: Upstream): Promise<readonly Row[]> {
      const { body } = await askRaw(`${adminUrl}/admin/v1/quota?node=self`);
      const { lanes } = JSON.parse(body.toString()) as { lanes: readonly Row[] };
      return lanes.filter((lane) => lane.upstream === upstream);
    }

    /** Images that were pulled until each node knew whom upstream charges for each of its lanes, and others that nobody has. */
    async function setUp(upstream: Upstream) {
      const hub = hubs[upstream];
      const { nodes } = cluster;
      const warm: string[] = [];
      const ask = async (at: number, repository: string): Promise<number> =>
        (await pull(`${nodes[at]?.url}/v2/${upstream}/${repository}/manifests/1`)).status;
      const isHeard = ({ source, benched }: Row): boolean => source !== null || benched === "login";
      // The node that has to ask is the one to whom the ring gives the tag.
      for (const repository of makeTags(hub, 40, "warm")) {
        assert.equal(await ask(warm.length % nodes.length, repository), 200);
        warm.push(repository);
        const lanes = await Promise.all(nodes.map((node) => lanesOf(node, upstream)));
        if (lanes.flat().every(isHeard)) break;
      }
      const gets = (): readonly LedgerEntry[] => hub.ledger.filter({ kind: "manifest_get" });
      return { hub, ask, warm, cold: makeTags(hub, 20).values(), gets };
    }

    /** Until a node has heard of what befell another, `isSo` of all or some of its lanes; or until that is over. */
    const hears = (at: number, isSo: (lanes: readonly Row[]) => boolean, of: { upstream: Upstream; isOn?: IsOn }) =>
      eventually(
        async () => of.isOn?.() === false || isSo(await lanesOf(cluster.nodes[at] as ClusterNode, of.upstream)),
        { timeoutMs: 20_000 },
      );

    const next = (names: Iterator<string>): string => names.next().value as string;

    const isSpent = ({ remaining }: Row): boolean => remaining === 0;
    const rests = ({ coolDownUntil }: Row): boolean => coolDownUntil !== null;

    test("too many pulls: one other lane is tried; no node asks by a budget that rests until Retry-After is over", async () => {
      const { hub, ask, warm, cold, gets } = await setUp("limit.test");
      for (const address of addresses) hub.quota.setRemaining(0, { address });
      const before = gets().length;
      const of = { upstream: "limit.test", isOn: forSec(retryAfterSec) } as const;
      assert.equal(await ask(0, next(cold)), 503);
      assert.equal(gets().length, before + 2);
      await hears(1, (lanes) => lanes.filter(rests).length === 2, of);
      // The fourth may be told so by HEAD, as the third was, or be refused.
      assert.equal(await ask(1, next(cold)), 503);
      await hears(2, (lanes) => lanes.every(isSpent), of);
      for (const at of [0, 1, 2]) {
        assert.equal(await ask(at, next(cold)), 503);
        // What is free goes on.
        assert.equal(await ask(at, warm[at] ?? warm[0] ?? ""), 200);
      }
      const refused = gets().slice(before);
      const refusing = new Set(refused.map(({ remoteAddress }) => remoteAddress));
      if (of.isOn()) assert.equal(refusing.size, refused.length, "none twice");
      hub.quota.reset();
      const late = next(cold);
      await eventually(async () => (await ask(2, late)) === 200, { timeoutMs: 20_000, intervalMs: 50 });
      assertRested(gets(), retryAfterSec);
    });

    test("too many pulls, of an hour: the budget rests until that hour is over where nothing else was said", async () => {
      const { hub, ask, cold, gets } = await setUp("hour.test");
      for (const address of addresses) hub.quota.setRemaining(0, { address });
      assert.equal(await ask(0, next(cold)), 503);
      await hears(1, (lanes) => lanes.filter(rests).length === 2, { upstream: "hour.test" });
      assert.equal(await ask(1, next(cold)), 503);
      await hears(2, (lanes) => lanes.every(isSpent), { upstream: "hour.test" });
      const before = gets().length;
      for (const lane of await lanesOf(cluster.nodes[2] as ClusterNode, "hour.test")) {
        const leftSec = (Date.parse(lane.resetAt ?? "") - Date.now()) / 1_000;
        assert.deepEqual([lane.windowSec, lane.coolDownUntil ?? lane.resetAt], [3_600, lane.resetAt]);
        assert.ok(leftSec > 3_500 && leftSec < 3_610, `${leftSec} s`);
      }
      await Promise.all([0, 1, 2].map(async (at) => assert.equal(await ask(at, next(cold)), 503)));
      assert.equal(gets().length, before);
    });

    test("nothing left at all: what has moved is stale, what has not is fresh, until the window is over by itself; then it follows", async () => {
      const { hub, warm, cold } = await setUp("window.test");
      const [still = "", moved = ""] = warm;
      const manifest = (at: number, repository: string) =>
        pull(`${cluster.nodes[at]?.url}/v2/window.test/${repository}/manifests/1`, { headers: { accept } });
      const old = await manifest(0, moved);
      const unknown = next(cold);
      const { digest } = hub.content.addArtifact({ repository: moved, tag: "1", size: 200 });
      hub.quota.reset();
      const isOn = forSec(windowSec);
      for (const address of addresses) hub.quota.setRemaining(0, { address });
      const answers = await Promise.all(
        [0, 1, 2].map(async (at) => ({ was: await manifest(at, moved), same: await manifest(at, still) })),
      );
      const first = await manifest(1, unknown);
      if (isOn()) {
        assert.equal(first.status, 503);
        for (const { was, same } of answers) {
          assert.deepEqual([was.status, was.digest], [200, old.digest]);
          assert.match(String(was.headers["warning"]), /stale: upstream limits our requests/);
          assert.deepEqual([same.status, same.headers["warning"]], [200, undefined]);
        }
      }
      // At upstream it is over earlier than a node can be sure of, by a thousandth and a second.
      for (const at of [0, 1, 2])
        await eventually(async () => (await manifest(at, moved)).digest === digest, { timeoutMs: 25_000 });
      assert.equal((await manifest(1, moved)).headers["warning"], undefined);
      assert.equal((await manifest(1, unknown)).status, 200);
    });

    for (const [upstream, bareLf, what] of [
      ["abuse.test", false, "too many requests"],
      ["bare.test", true, "too many requests, in lines that end by LF alone"],
    ] as const)
      test(`${what}: that address rests on every node and for everything; one other is tried`, async () => {
        const { hub, ask, warm, cold } = await setUp(upstream);
        hub.knobs.abuse = { retryAfterSec, bareLf, text: "Too Many Requests" };
        hub.ledger.clear();
        const of = { upstream, isOn: forSec(retryAfterSec) };
        assert.equal(await ask(0, warm[0] ?? ""), 200, "stale");
        assert.equal(hub.ledger.count(), 2);
        const isPaused = ({ benched }: Row): boolean => benched === "paused";
        await hears(1, (lanes) => lanes.filter(isPaused).length === 2, of);
        assert.equal(await ask(1, next(cold)), 503);
        await Promise.all(
          cluster.nodes.map(async ({ url }, at) => {
            await hears(at, (lanes) => lanes.every(isPaused), of);
            const [unknown, missing] = [next(cold), `sha256:${"0".repeat(64)}`];
            assert.equal(await ask(at, unknown), 503);
            for (const path of [`blobs/${missing}`, "tags/list"])
              assert.notEqual((await pull(`${url}/v2/${upstream}/${unknown}/${path}`)).status, 200);
          }),
        );
        const asking = hub.ledger.entries.map(({ remoteAddress }) => remoteAddress);
        if (of.isOn()) assert.deepEqual(asking.toSorted(), [...addresses], "each once");
        hub.knobs.abuse = undefined;
        const late = next(cold);
        await eventually(async () => (await ask(2, late)) === 200, { timeoutMs: 20_000, intervalMs: 50 });
        assertRested(hub.ledger.entries, retryAfterSec);
      });

    test("no rate headers: a budget of nobody's is left as it was, and pulls go on", async () => {
      const { hub } = await setUp("silent.test");
      const names = makeTags(hub, 6);
      const statuses = await pullTags(
        cluster,
        names.map((name) => `silent.test/${name}`),
      );
      assert.deepEqual(new Set(statuses), new Set([200]));
      const lanes = await lanesOf(cluster.nodes[0] as ClusterNode, "silent.test");
      assert.deepEqual(new Set(lanes.map(({ remaining }) => remaining)), new Set([2]));
    });

    test("no rate headers, for an account: it is unmetered, and rests by a 429 alone", async () => {
      const { hub, ask, cold, gets } = await setUp("paid.test");
      for (let turn = 0; turn < 6; turn += 1) assert.equal(await ask(turn % 3, next(cold)), 200);
      const spent = gets().length;
      const isCounted = (lane: Row): boolean => lane.unmetered && lane.spent === spent;
      await hears(0, (lanes) => lanes.every(isCounted), { upstream: "paid.test" });
      const body = JSON.stringify({ errors: [{ code: "TOOMANYREQUESTS" }] });
      const headers = { "content-type": "application/json", "retry-after": String(retryAfterSec) };
      const fault = hub.faults.add({ kind: "manifest_get", times: "always" }, { status: 429, body, headers });
      const isOn = forSec(retryAfterSec);
      assert.equal(await ask(0, next(cold)), 503);
      await hears(1, (lanes) => lanes.every(rests), { upstream: "paid.test", isOn });
      for (const at of [0, 1, 2]) assert.equal(await ask(at, next(cold)), 503);
      if (isOn()) assert.equal(fault.hits, 1);
      fault.remove();
      const late = next(cold);
      await eventually(async () => (await ask(1, late)) === 200, { timeoutMs: 20_000, intervalMs: 50 });
      const [refused, after] = gets().slice(spent);
      assert.ok(refused && after && after.at - refused.at >= retryAfterSec * 1_000);
    });

    test("a wrong password: one node tries it once and shouts, no other tries it, and the lanes without it go on", async () => {
      const { hub, ask, cold } = await setUp("wrong.test");
      assert.equal(await ask(0, next(cold)), 200);
      const says = (word: string): number =>
        cluster.nodes.filter(({ pullring }) => pullring.logs().includes(word)).length;
      await eventually(() => says("refused this account on another node") === 2);
      assert.equal(says("upstream refuses the credentials of this account"), 1);
      for (const node of cluster.nodes) {
        const lanes = await lanesOf(node, "wrong.test");
        for (const lane of lanes) assert.equal(lane.benched, lane.account === null ? null : "login");
      }
      for (let turn = 1; turn < 6; turn += 1) assert.equal(await ask(turn % 3, next(cold)), 200);
      const logins = hub.ledger.filter({ origin: "token", authorization: "basic" });
      assert.deepEqual(
        logins.map(({ status }) => status),
        [401],
      );
    });
  },
);

/** Whether so many seconds from now are not over: on a machine that is too busy nothing can be said of what happened within them. */
function forSec(sec: number): IsOn {
  const endMs = performance.now() + sec * 1_000;
  return () => performance.now() < endMs;
}

/** No address asked for anything more within the pause that its last 429 named. */
function assertRested(entries: readonly LedgerEntry[], pauseSec: number): void {
  for (const refused of entries.filter(({ status }) => status === 429)) {
    const later = entries.find(({ at, remoteAddress }) => remoteAddress === refused.remoteAddress && at > refused.at);
    const waitedMs = (later?.at ?? Infinity) - refused.at;
    assert.ok(waitedMs >= pauseSec * 1_000, `${refused.remoteAddress} asked again after ${waitedMs} ms`);
  }
}
