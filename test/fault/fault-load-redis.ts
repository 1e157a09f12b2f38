import { eventually } from "@pullring/testkit";

import { scrape } from "../promises/metrics.ts";
import { type Cluster, startCluster } from "../real/cluster.ts";
import { type RedisServer, startSentinels } from "../real/redis.ts";
import type { Fault, FaultRig } from "./fault-load-run.ts";

type Failing = Pick<RedisServer, "ask" | "kill" | "restart" | "freeze" | "thaw">;

/** Tags that stay fresh: what is measured are answers from what a node has. */
export const lastingTags = { tags: { fresh: "1h" } } as const;
/** More images are pulled than Docker Hub lets anybody have. */
export const noLimit = { anonymousLimit: undefined } as const;

export async function openRedisRig(stack: AsyncDisposableStack): Promise<FaultRig & { readonly redis: RedisServer }> {
  const cluster = stack.use(await startCluster({ nodes: 3, hub: noLimit, config: lastingTags }));
  const { redis } = cluster;
  if (!redis) throw new Error("this cluster has no Redis");
  return { cluster, redis, load: { entries: cluster.nodes.map(({ url }) => url) } };
}

const leases = async ({ nodes }: Cluster, outcome: string): Promise<number> => {
  const told = await Promise.all(nodes.map((node) => scrape(node)));
  return told.reduce((sum, { sum: of }) => sum + of("pullring_lease_total", { outcome }), 0);
};

/** More leases than when it was called. */
const leasedAgain = (cluster: Cluster) => async (): Promise<() => Promise<boolean>> => {
  const before = await leases(cluster, "acquired");
  return async () => (await leases(cluster, "acquired")) > before;
};

const isDegraded = async ({ nodes }: Cluster): Promise<boolean> => {
  const answers = await Promise.all(nodes.map(async ({ adminUrl }) => (await fetch(`${adminUrl}/readyz`)).text()));
  return answers.some((text) => text.startsWith("degraded"));
};

/** Again and again, so that what nodes write between is lost too. */
const wipeEveryMs = 500;

const common = (cluster: Cluster) => ({
  isFelt: () => isDegraded(cluster),
  usedAgain: leasedAgain(cluster),
  extraGetsPerPull: 0,
});

/** What can happen to the one Redis of a cluster. All nodes have the ring, so none of it may cost a GET. */
export function redisFaults(cluster: Cluster, redis: Failing): readonly Fault[] {
  let wiping: NodeJS.Timeout | undefined;
  const wipe = (): void => void redis.ask("FLUSHALL").catch(() => {});
  return [
    { name: "redis-killed", ...common(cluster), begin: () => redis.kill(), end: () => redis.restart() },
    { name: "redis-hung", ...common(cluster), begin: () => redis.freeze(), end: () => redis.thaw() },
    {
      name: "redis-wiped",
      ...common(cluster),
      begin: () => {
        wipe();
        wiping = setInterval(wipe, wipeEveryMs);
      },
      isFelt: () =>
        Promise.resolve(cluster.nodes.some(({ pullring }) => pullring.logs().includes("Redis has forgotten"))),
      end: () => clearInterval(wiping),
    },
    {
      name: "redis-full",
      ...common(cluster),
      begin: () => redis.ask("CONFIG SET maxmemory 1"),
      end: () => redis.ask("CONFIG SET maxmemory 0"),
    },
  ];
}

export interface FailoverRig extends FaultRig {
  readonly fault: Fault;
}

/** A primary with two copies and three sentinels, which is killed: over when another one is promoted. */
export async function openFailoverRig(stack: AsyncDisposableStack): Promise<FailoverRig> {
  const trio = stack.use(await startSentinels());
  const [primary] = trio.servers;
  if (!primary) throw new Error("no Redis");
  const redis = { url: undefined, sentinels: trio.ports.map((port) => `127.0.0.1:${port}`), master: trio.name };
  const config = { ...lastingTags, cluster: { redis } };
  const cluster = stack.use(await startCluster({ nodes: 3, hub: noLimit, members: primary, config }));
  let unavailableBefore = 0;
  const fault: Fault = {
    name: "redis-failover",
    ...common(cluster),
    begin: async () => {
      unavailableBefore = await leases(cluster, "unavailable");
      await primary.kill();
    },
    isFelt: async () => (await leases(cluster, "unavailable")) > unavailableBefore || (await isDegraded(cluster)),
    over: () =>
      eventually(async () => ![undefined, primary.port].includes(await trio.primaryPort()), {
        timeoutMs: 20_000,
        intervalMs: 20,
      }),
    end: () => undefined,
  };
  return { cluster, fault, load: { entries: cluster.nodes.map(({ url }) => url) } };
}
