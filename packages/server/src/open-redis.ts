import { makeRedisLeases, openRedis, redisBeats, type BeatStore, type RedisOptions } from "@pullring/cluster";
import type { Leases } from "@pullring/core";

import { systemRandom } from "./clock.ts";
import type { Config } from "./config/index.ts";
import type { Parts } from "./parts.ts";
import { pemSource } from "./pem-source.ts";

/** What Redis is for. */
export interface RedisSide {
  readonly beats: BeatStore;
  readonly leases: Leases;
  /** What of its setting can do harm. */
  warnings(): readonly string[];
  close(): Promise<void>;
}

type RedisConfig = NonNullable<NonNullable<Config["cluster"]>["redis"]>;

/** Never waits for Redis to answer. */
export function openRedisSide(parts: Parts, config: RedisConfig, self: string): RedisSide {
  const { clock, log, metrics } = parts;
  const redis = openRedis({ ...optionsOf(parts, config), clock, log, random: systemRandom });
  const leases = makeRedisLeases({
    redis,
    self,
    clock,
    log,
    random: systemRandom,
    observe: ({ outcome }) => metrics.lease(outcome),
  });
  return { beats: redisBeats(redis), leases, warnings: () => redis.warnings(), close: () => redis.close() };
}

function optionsOf(parts: Parts, config: RedisConfig): Omit<RedisOptions, "clock" | "log" | "random"> {
  const { url, sentinels, cluster, prefix, username, password, tls } = config;
  const files = tls && {
    ...(tls.caFile !== undefined && { ca: pemSource(parts, tls.caFile) }),
    ...(tls.certFile !== undefined && { cert: pemSource(parts, tls.certFile) }),
    ...(tls.keyFile !== undefined && { key: pemSource(parts, tls.keyFile) }),
  };
  return {
    prefix,
    cluster,
    ...(url !== undefined && { url }),
    ...(username !== undefined && { username }),
    ...(password && { password: () => password.read() }),
    ...(files && { tls: files }),
    ...(sentinels && {
      sentinels: {
        addresses: sentinels.addresses,
        master: sentinels.master,
        ...(sentinels.username !== undefined && { username: sentinels.username }),
        ...(sentinels.password && { password: () => sentinels.password?.read() }),
      },
    }),
  };
}
