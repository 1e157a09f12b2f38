import { randomBytes } from "node:crypto";
import type { TestContext } from "node:test";

import { makeRedisLeases, openRedis, type Redis, type RedisOptions } from "@pullring/cluster";
import type { LeaseAnswer, Leases } from "@pullring/core";
import { parseDigest } from "@pullring/oci";
import { eventually } from "@pullring/testkit";

import { systemClock, systemRandom } from "../../packages/server/src/clock.ts";

export interface RedisNode {
  readonly redis: Redis;
  readonly leases: Leases;
  readonly outcomes: readonly string[];
}

const silent = { info: () => {}, warn: () => {} };

/** One node's Redis and its leases, as a server opens them. */
export function redisNode(t: TestContext, self: string, options: Partial<RedisOptions>): RedisNode {
  const [clock, random] = [systemClock, systemRandom];
  const redis = openRedis({ prefix: "pullring", log: silent, clock, random, ...options });
  t.after(() => redis.close());
  const outcomes: string[] = [];
  const observe = ({ outcome }: { outcome: string }): void => void outcomes.push(outcome);
  return { redis, leases: makeRedisLeases({ redis, self, clock, random, log: silent, observe }), outcomes };
}

export const newDigest = () => parseDigest(`sha256:${randomBytes(32).toString("hex")}`);

export const isUp = ({ redis }: RedisNode): Promise<unknown> =>
  eventually(() => redis.state().up, { timeoutMs: 10_000, intervalMs: 2 });

export async function timed<T>(work: Promise<T>): Promise<{ readonly result: T; readonly tookMs: number }> {
  const startedMs = performance.now();
  const result = await work;
  return { result, tookMs: performance.now() - startedMs };
}

/** How long it takes until a lease can be had again. */
export async function untilLeased({ leases }: RedisNode): Promise<number> {
  const isLeased = async (): Promise<boolean> => {
    const answer: LeaseAnswer = await leases.acquire(newDigest());
    return answer.state === "acquired";
  };
  return (await timed(eventually(isLeased, { timeoutMs: 20_000, intervalMs: 10 }))).tookMs;
}
