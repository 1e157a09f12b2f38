import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";

import {
  eventually,
  type Hub,
  startConnectProxy,
  startHub,
  startSocksProxy,
  type TunnelProxy,
} from "@pullring/testkit";

import { type Cluster, needsCluster, startCluster } from "../real/cluster.ts";
import { countedGets, makeTags, pullTags, throttled } from "./quota-rig.ts";
import { reach } from "./rig.ts";

const limit = 30;
const atOnce = 6;
const account = { username: "ci", password: "ci-secret", limit };
/** What both proxies go out by. */
const address = "127.0.0.7";

/** Registries with a budget each, so that each course of things has one of its own on the same nodes. */
const courses = ["up", "dying", "wiped", "down"] as const;
type Course = (typeof courses)[number];

suite(
  "one account on three nodes, and two proxies that upstream sees as one address",
  {
    skip: needsCluster(),
    timeout: 120_000,
  },
  () => {
    const stack = new AsyncDisposableStack();
    /** By the names of upstreams: `account-up.test`, `proxies-up.test`. */
    let hubs: Readonly<Record<string, Hub>>;
    let proxies: readonly TunnelProxy[];
    let cluster: Cluster;

    before(
      async () => {
        const upstreams = courses.flatMap((course) => [`account-${course}.test`, `proxies-${course}.test`]);
        hubs = Object.fromEntries(
          await Promise.all(
            // Of other content each: what one has brought is never fetched from another.
            upstreams.map(async (name, index) => {
              const hub = await startHub({ seed: index + 1, accounts: [account], anonymousLimit: limit });
              return [name, hub] as const;
            }),
          ),
        );
        stack.defer(async () => void (await Promise.all(Object.values(hubs).map((hub) => hub.close()))));
        proxies = await Promise.all(
          [startConnectProxy, startSocksProxy].map((start) => start({ localAddress: address })),
        );
        stack.defer(async () => void (await Promise.all(proxies.map((proxy) => proxy.close()))));
        const quota = { limit, window: "6h" };
        cluster = await startCluster({
          balancer: "none",
          config: {
            upstreams: Object.fromEntries(
              Object.entries(hubs).map(([name, hub]) => [
                name,
                { ...reach(hub), quota: { ...quota, anonymous: name.startsWith("proxies") } },
              ]),
            ),
            accounts: upstreams
              .filter((name) => name.startsWith("account"))
              .map((upstream) => ({ ...account, ...quota, upstream, name: upstream.replace(".test", "") })),
            egress: proxies.map(({ url }, index) => ({ name: `proxy-${index}`, proxy: url.href })),
          },
        });
        stack.use(cluster);
      },
      { timeout: 60_000 },
    );
    after(() => stack.disposeAsync());

    interface Spent {
      readonly upstream: string;
      readonly hub: Hub;
      readonly pulled: number;
    }

    /** More than there is, of both budgets of a course, by all nodes; `meddle` once a third is spent. */
    async function spendAll(course: Course, meddle?: () => Promise<unknown>): Promise<readonly Spent[]> {
      const upstreams = [`account-${course}.test`, `proxies-${course}.test`];
      const spending = upstreams.map(async (upstream) => {
        const hub = hubs[upstream] as Hub;
        const names = makeTags(hub, limit + 2 * atOnce).map((name) => `${upstream}/${name}`);
        const statuses = await pullTags(cluster, names, atOnce);
        return { upstream, hub, pulled: statuses.filter((status) => status === 200).length };
      });
      if (meddle) {
        const isThirdSpent = (): boolean =>
          upstreams.every((upstream) => countedGets(hubs[upstream] as Hub) >= limit / 3);
        await eventually(isThirdSpent, { timeoutMs: 30_000, intervalMs: 1 });
        await meddle();
      }
      return await Promise.all(spending);
    }

    const noneLeft = ({ hub, upstream }: Spent): number | undefined =>
      hub.quota.remaining(upstream.startsWith("account") ? { account: account.username } : { address });

    test("are spent to the last one and never refused", async () => {
      for (const spent of await spendAll("up")) {
        const { hub, upstream, pulled } = spent;
        assert.deepEqual([countedGets(hub), pulled, throttled(hub)], [limit, limit, 0], upstream);
        assert.equal(noneLeft(spent), 0);
        assert.deepEqual(new Set(hub.ledger.entries.map(({ remoteAddress }) => remoteAddress)), new Set([address]));
      }
      assert.ok(proxies.every(({ tunnels }) => tunnels.length > 0));
    });

    test("are spent by the other proxy when one dies meanwhile", async () => {
      const [dying] = proxies as [TunnelProxy];
      let tunnels = 0;
      const spent = await spendAll("dying", async () => {
        dying.faults.refuse = true;
        dying.reset();
        tunnels = dying.tunnels.length;
        return Promise.resolve();
      });
      // Tunnels that were on their way when it died stand in its books.
      assert.ok(dying.tunnels.length <= tunnels + atOnce, `${dying.tunnels.length - tunnels} more`);
      for (const { hub, upstream, pulled } of spent) {
        assert.equal(throttled(hub), 0, upstream);
        // What was cut off may have been counted.
        assert.ok(pulled >= limit - atOnce && pulled <= limit, `${upstream}: ${pulled} pulled`);
      }
      dying.faults.refuse = false;
    });

    test("are refused no more often than requests were in flight when Redis forgot everything", async () => {
      for (const { hub, upstream, pulled } of await spendAll("wiped", () => cluster.redis!.ask("FLUSHALL"))) {
        assert.ok(throttled(hub) <= atOnce, `${upstream}: ${throttled(hub)} refused`);
        assert.ok(countedGets(hub) >= limit - atOnce, `${upstream}: ${countedGets(hub)} spent`);
        assert.equal(pulled, countedGets(hub), upstream);
      }
    });

    test("are refused no more often than requests were in flight when Redis died; each node goes on with its part", async () => {
      let before: readonly number[] = [];
      const spent = await spendAll("down", async () => {
        await cluster.redis!.kill();
        before = [`account-down.test`, `proxies-down.test`].map((upstream) => countedGets(hubs[upstream] as Hub));
      });
      for (const [index, { hub, upstream, pulled }] of spent.entries()) {
        // What the others took in the last moment, a node can't know of when it reckons its part.
        assert.ok(throttled(hub) <= atOnce, `${upstream}: ${throttled(hub)} refused`);
        assert.ok(pulled <= limit, `${upstream}: ${pulled} pulled`);
        assert.ok(pulled > (before[index] ?? 0) + atOnce, `${upstream}: ${pulled} pulled, ${before[index]} before`);
      }
    });
  },
);
