import { randomUUID } from "node:crypto";
import { after, before, suite } from "node:test";

import { makeRedisBudgets, openRedis, type Redis } from "@pullring/cluster";
import { budgetSuite, eventually, virtualClock } from "@pullring/testkit";

import { systemClock, systemRandom } from "../../packages/server/src/clock.ts";
import { needsRedis, type RedisServer, startRedis } from "../real/redis.ts";
import { aheadRedis } from "./redis-time.ts";

const silent = { info: () => {}, warn: () => {} };

suite("budgets in Redis", { skip: needsRedis() }, () => {
  let server: RedisServer;
  before(async () => {
    server = await startRedis();
  });
  after(() => server.stop());

  budgetSuite({
    name: "redis-server",
    open: async () => {
      const clock = virtualClock();
      const prefix = randomUUID();
      const links: Redis[] = [];
      const nodes = ["n1", "n2", "n3"].map((self) => {
        const link = openRedis({ url: server.url, prefix, log: silent, clock: systemClock, random: systemRandom });
        links.push(link);
        // Redis' time goes on by itself, and by what the test moves its clock.
        const redis = aheadRedis(link, () => clock.monotonic());
        return [
          self,
          makeRedisBudgets({ redis, self, clock, nodes: () => 3, log: silent, upstreams: ["docker.io"] }),
        ] as const;
      });
      const budgets = new Map(nodes);
      await eventually(() => links.every((redis) => redis.state().up));
      // Until all nodes have told what they know, which is nothing, no budget is given.
      for (const each of budgets.values()) await each.all();
      return {
        of: (node) => budgets.get(node) as NonNullable<ReturnType<typeof budgets.get>>,
        now: () => clock.monotonic(),
        advance: (ms) => clock.advance(ms),
        close: async () => {
          await Promise.all([...budgets.values()].map((each) => each.close()));
          await Promise.all(links.map((redis) => redis.close()));
        },
      };
    },
  });
});
