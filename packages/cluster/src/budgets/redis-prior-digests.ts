import { budgetLimits as limits, type Clock, makeLocalPriorDigests, type PriorDigests } from "@pullring/core";

import { defineScript, type Redis } from "../redis/index.ts";

const note = defineScript(`return redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])`);
const has = defineScript(`return redis.call('EXISTS', KEYS[1])`);

/** Shared by all nodes; while Redis is away each knows what it noted itself. */
export function makeRedisPriorDigests(redis: Pick<Redis, "key" | "run">, clock: Clock): PriorDigests {
  const own = makeLocalPriorDigests(clock);
  const keyOf = (key: string): string => redis.key(`prior:${key}`);
  return {
    async note(key) {
      await own.note(key);
      await redis.run(note, [keyOf(key)], [limits.priorMs]).catch(() => {});
    },
    async has(key) {
      if (await own.has(key)) return true;
      return redis.run(has, [keyOf(key)], []).then(
        (count) => Number(count) === 1,
        () => false,
      );
    },
  };
}
