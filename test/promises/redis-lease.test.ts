import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, suite, test } from "node:test";

import { makeRedisLeases, openRedis, type Redis } from "@pullring/cluster";
import { eventually, leaseSuite, virtualClock } from "@pullring/testkit";

import { acquireScript } from "../../packages/cluster/src/lease/scripts.ts";
import { systemClock, systemRandom } from "../../packages/server/src/clock.ts";
import { needsRedis, type RedisServer, startRedis } from "../real/redis.ts";

const silent = { info: () => {}, warn: () => {} };

suite("leases in Redis", { skip: needsRedis() }, () => {
  let server: RedisServer;
  before(async () => {
    server = await startRedis();
  });
  after(() => server.stop());

  leaseSuite({
    name: "redis-server",
    ttlMs: 15_000,
    renewedWithinMs: 6_000,
    open: async () => {
      const clock = virtualClock();
      const prefix = randomUUID();
      const open: Redis[] = [];
      const of = (self: string) => {
        // A node has one connection; asked for again it would be a process that was started anew.
        const redis = openRedis({ url: server.url, prefix, log: silent, clock: systemClock, random: systemRandom });
        open.push(redis);
        return makeRedisLeases({ redis, self, clock, random: systemRandom, log: silent, observe: () => {} });
      };
      const nodes = new Map(["n1", "n2", "n3"].map((self) => [self, of(self)]));
      await eventually(() => open.every((redis) => redis.state().up));
      return {
        of: (node) => nodes.get(node) ?? of(node),
        advance: (ms) => clock.advance(ms),
        close: async () => void (await Promise.all(open.map((redis) => redis.close()))),
      };
    },
  });

  test("a lease that was taken by a command whose answer was lost is had by sending the same again", async () => {
    const redis = openRedis({
      url: server.url,
      prefix: randomUUID(),
      log: silent,
      clock: systemClock,
      random: systemRandom,
    });
    try {
      await eventually(() => redis.state().up);
      const acquire = (token: string): Promise<unknown> =>
        redis.run(
          acquireScript,
          ["lock", "fence"].map((name) => redis.key(`{d}:${name}`)),
          [token, "n1", "", 15_000, 60_000, redis.key("leases"), "d"],
        );
      assert.deepEqual(await acquire("one"), ["acquired", 1]);
      assert.deepEqual(await acquire("one"), ["mine", "1"]);
      assert.deepEqual(await acquire("another"), ["held", "one", "n1", "0"]);
    } finally {
      await redis.close();
    }
  });
});
