import {
  makeRedisBudgets,
  makeRedisLeases,
  makeRedisPriorDigests,
  makeRedisPurges,
  openLaneBoard,
  openRedis,
  redisBeats,
  redisBoard,
  type BeatStore,
  type FollowedBoard,
  type RedisOptions,
  type RedisPurges,
} from "@pullring/cluster";
import type { Budgets, Leases, PriorDigests } from "@pullring/core";

import { systemRandom } from "./clock.ts";
import type { Config } from "./config/index.ts";
import type { Parts } from "./parts.ts";
import { pemSource } from "./pem-source.ts";

/** What Redis is for. */
export interface RedisSide {
  readonly beats: BeatStore;
  readonly leases: Leases;
  readonly purges: RedisPurges;
  readonly budgets: Budgets;
  readonly priors: PriorDigests;
  readonly board: FollowedBoard;
  /** What of its setting can do harm. */
  warnings(): readonly string[];
  close(): Promise<void>;
}

type RedisConfig = NonNullable<NonNullable<Config["cluster"]>["redis"]>;

export interface RedisSideOptions {
  readonly config: RedisConfig;
  readonly self: string;
  /** Who is in the cluster now, this node included. */
  readonly members: () => readonly string[];
  readonly onPurge: (key: string, atMs: number) => void;
}

/** Never waits for Redis to answer. */
export function openRedisSide(parts: Parts, { config, self, members, onPurge }: RedisSideOptions): RedisSide {
  const { clock, log, metrics } = parts;
  const redis = openRedis({ ...redisReach(parts, config), clock, log, random: systemRandom });
  const leases = makeRedisLeases({
    redis,
    self,
    clock,
    log,
    random: systemRandom,
    observe: ({ outcome }) => metrics.lease(outcome),
  });
  const purges = makeRedisPurges({ redis, clock, onPurge });
  const counted = Object.values(parts.config.upstreams).flatMap(({ name, quota }) => (quota ? [name] : []));
  const nodes = (): number => Math.max(1, members().length);
  const budgets = makeRedisBudgets({ redis, self, clock, log, nodes, upstreams: counted });
  const isMember = (node: string): boolean => members().includes(node);
  const board = openLaneBoard({ store: redisBoard(redis), self, isMember, clock, random: systemRandom });
  return {
    beats: redisBeats(redis),
    leases,
    purges,
    budgets,
    priors: makeRedisPriorDigests(redis, clock),
    board,
    warnings: () => redis.warnings(),
    async close() {
      await Promise.all([purges.close(), board.close(), budgets.close()]);
      await redis.close();
    },
  };
}

/** How to reach it, as the configuration says. */
export function redisReach(parts: Parts, config: RedisConfig): Omit<RedisOptions, "clock" | "log" | "random"> {
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
