import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, suite, test } from "node:test";

import { makeRedisBudgets, makeRedisPriorDigests, openRedis, type Redis } from "@pullring/cluster";
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

  test("what has priority on one node has it on all, and where Redis is away on that one", async () => {
    const clock = virtualClock();
    const [own, other] = [server, server].map(({ url }) =>
      openRedis({ url, prefix: "priors", log: silent, clock: systemClock, random: systemRandom }),
    ) as [Redis, Redis];
    try {
      await eventually(() => own.state().up && other.state().up);
      const [first, second] = [makeRedisPriorDigests(own, clock), makeRedisPriorDigests(other, clock)];
      assert.equal(await second.has("docker.io library/app@sha256:00"), false);
      await first.note("docker.io library/app@sha256:00");
      assert.equal(await second.has("docker.io library/app@sha256:00"), true);
      assert.equal(await second.has("docker.io library/app@sha256:11"), false);
      await Promise.all([own.close(), other.close()]);
      assert.deepEqual(
        [await first.has("docker.io library/app@sha256:00"), await second.has("docker.io library/app@sha256:00")],
        [true, false],
      );
    } finally {
      await Promise.all([own.close(), other.close()]);
    }
  });
});
