import { openRedis, type RedisOptions } from "@pullring/cluster";
import type { Clock } from "@pullring/core";

import { fail, ok, warn, type Check } from "./finding.ts";
import { diagnoseLimits as limits } from "./limits.ts";

export type RedisReach = Omit<RedisOptions, "clock" | "log" | "random">;

/** Reached by the node's own client, which asks the server about itself as it always does. */
export function redisCheck(reach: RedisReach, { clock, random }: { clock: Clock; random: () => number }): Check {
  return {
    name: "Redis",
    async run() {
      const said: string[] = [];
      const warned = (facts: object): void => {
        if ("warning" in facts && typeof facts.warning === "string") said.push(facts.warning);
      };
      const redis = openRedis({ ...reach, clock, random, log: { info: () => {}, warn: warned } });
      try {
        const first = redis.state().reason;
        const untilMs = clock.monotonic() + limits.redisMs;
        // The first reason says that nothing is known yet; any other one is the outcome of an attempt.
        const isPending = (): boolean => !redis.state().up && redis.state().reason === first;
        while (isPending() && clock.monotonic() < untilMs) await clock.sleep(limits.pollMs);
        const { up, reason } = redis.state();
        if (!up)
          return fail(
            `no use of Redis: ${reason}`,
            "look at cluster.redis (url, password, tls) and that the server may be reached",
          );
        if (redis.warnings().length > 0)
          return fail(
            redis.warnings().join("; "),
            "redis-cli CONFIG SET maxmemory-policy noeviction, and in redis.conf",
          );
        return said.length > 0
          ? warn(said.join("; "), "update the server, or let this user ask INFO")
          : ok("answers, and evicts nothing");
      } finally {
        await redis.close();
      }
    },
  };
}
