import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { suite, test, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { makeRedisBudgets, openRedis, type RedisBudgets } from "@pullring/cluster";
import type { BudgetWish } from "@pullring/core";
import { eventually } from "@pullring/testkit";

import { systemClock, systemRandom } from "../../packages/server/src/clock.ts";
import { needsRedis, type RedisServer, startRedis, startRedisCluster } from "../real/redis.ts";

const silent = { info: () => {}, warn: () => {} };
const key = "docker.io account:ci";
const limit = 60;
const wish: BudgetWish = { key, limit, windowSec: 3_600, reserve: 0 };

/** Counts for real, tells what is left, and refuses what is over the limit. */
class Upstream {
  inFlight = 0;
  served = 0;
  refused = 0;

  async get(budgets: RedisBudgets, hasHeaders: boolean): Promise<boolean> {
    const taking = await budgets.take([wish]);
    if (taking.state === "empty") return false;
    this.inFlight += 1;
    const isServed = this.served < limit;
    if (isServed) this.served += 1;
    else this.refused += 1;
    const told = { limit, remaining: limit - this.served, windowSec: 3_600 };
    await sleep(1 + systemRandom() * 20);
    this.inFlight -= 1;
    if (!isServed) taking.take.settle({ exhaustedForSec: undefined });
    else taking.take.settle(hasHeaders ? told : "spent");
    return isServed;
  }
}

interface Rig {
  readonly nodes: readonly RedisBudgets[];
  readonly upstream: Upstream;
  /** All nodes ask, some at a time, until so many were served in all or nobody gets any more. */
  readonly spendUntil: (served: number) => Promise<void>;
}

interface RigOptions {
  readonly url: string;
  readonly hasHeaders?: boolean;
  readonly isCluster?: boolean;
}

async function rigOf(t: TestContext, { url, hasHeaders = true, isCluster = false }: RigOptions): Promise<Rig> {
  const prefix = randomUUID();
  const [clock, random] = [systemClock, systemRandom];
  const links = ["n1", "n2", "n3"].map((self) => {
    const redis = openRedis({ url, prefix, cluster: isCluster, log: silent, clock, random });
    const budgets = makeRedisBudgets({ redis, self, clock, nodes: () => 3, log: silent, upstreams: ["docker.io"] });
    t.after(async () => {
      await budgets.close();
      await redis.close();
    });
    return { redis, budgets };
  });
  await eventually(() => links.every(({ redis }) => redis.state().up), { timeoutMs: 10_000 });
  const nodes = links.map(({ budgets }) => budgets);
  for (const budgets of nodes) await budgets.all();
  const upstream = new Upstream();
  const spend = async (budgets: RedisBudgets, served: number): Promise<void> => {
    while (upstream.served < served && (await upstream.get(budgets, hasHeaders)));
  };
  const spendUntil = async (served: number): Promise<void> =>
    void (await Promise.all(nodes.flatMap((budgets) => [1, 2, 3].map(() => spend(budgets, served)))));
  return { nodes, upstream, spendUntil };
}

async function redisFor(t: TestContext): Promise<RedisServer> {
  const server = await startRedis();
  t.after(() => server.stop());
  return server;
}

/** Each of the three asks for three at a time. */
const inFlightMax = 9;

suite("budgets through faults of Redis", { skip: needsRedis() }, () => {
  test("three nodes spend all of one budget and never one more", async (t) => {
    const server = await redisFor(t);
    for (const hasHeaders of [true, false]) {
      const { upstream, spendUntil } = await rigOf(t, { url: server.url, hasHeaders });
      await spendUntil(Infinity);
      assert.deepEqual([upstream.served, upstream.refused], [limit, 0]);
    }
  });

  test("and through a Redis Cluster", async (t) => {
    const servers = await startRedisCluster(3);
    t.after(() => Promise.all(servers.map((server) => server.stop())));
    const { upstream, spendUntil } = await rigOf(t, { url: servers[0]?.url ?? "", isCluster: true });
    await spendUntil(Infinity);
    assert.deepEqual([upstream.served, upstream.refused], [limit, 0]);
  });

  test("after a wipe nothing is given before every node has told what it spent", async (t) => {
    const server = await redisFor(t);
    const { upstream, spendUntil } = await rigOf(t, { url: server.url, hasHeaders: false });
    await spendUntil(30);
    await server.ask("FLUSHALL");
    await spendUntil(Infinity);
    // What was in flight when all was lost may be counted by its node and once more; it is never missing.
    assert.equal(upstream.refused, 0);
    assert.ok(upstream.served >= limit - inFlightMax, String(upstream.served));
  });

  for (const how of ["kill", "freeze"] as const) {
    test(`without Redis (${how}) each node spends its part, and pays it when Redis is back, empty or not`, async (t) => {
      const server = await redisFor(t);
      const { nodes, upstream, spendUntil } = await rigOf(t, { url: server.url, hasHeaders: how === "kill" });
      await spendUntil(30);
      if (how === "kill") await server.kill();
      else server.freeze();
      const before = upstream.served;
      await spendUntil(before + 12);
      assert.ok(upstream.served > before, "nobody spent without Redis");
      if (how === "kill") await server.restart();
      else server.thaw();
      await eventually(
        async () => {
          const states = await Promise.all(nodes.map((budgets) => budgets.all()));
          const left = states.map((all) => all.find((state) => state.key === key)?.remaining);
          return left.every((remaining) => remaining !== undefined && remaining <= limit - upstream.served);
        },
        { timeoutMs: 15_000 },
      );
      await spendUntil(Infinity);
      assert.ok(upstream.refused <= inFlightMax, `${upstream.refused} too many`);
    });
  }

  test("what a stranger writes in the place of the counters neither stops nor frees anybody", async (t) => {
    const server = await redisFor(t);
    const { nodes, upstream, spendUntil } = await rigOf(t, { url: server.url });
    await spendUntil(20);
    const name = /\n(\S+:\{quota \S+\})/.exec(await server.ask("KEYS *quota*"))?.[1] ?? "";
    assert.notEqual(name, "");
    const writes = [
      `SET "${name}" nonsense`,
      `HSET "${name}" document nonsense`,
      `HSET "${name}" document "{\\"generation\\":\\"x\\",\\"isOpen\\":true,\\"seq\\":1e999,\\"rows\\":[]}"`,
      `HSET "${name}" version x document "{\\"generation\\":\\"x\\",\\"isOpen\\":true,\\"seq\\":1,\\"rows\\":[{\\"key\\":\\"${key}\\",\\"limit\\":1e300}]}"`,
    ];
    for (const write of writes) {
      assert.doesNotMatch(await server.ask(write), /^-/);
      for (const budgets of nodes) await budgets.all();
      const [state] = (await nodes[0]?.all()) ?? [];
      assert.ok((state?.remaining ?? Infinity) <= limit - upstream.served, write);
    }
    await spendUntil(Infinity);
    assert.equal(upstream.refused, 0);
  });
});
