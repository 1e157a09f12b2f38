import { createHash, randomUUID } from "node:crypto";

import { openMembership, type Membership, type PeerClient } from "@pullring/cluster";
import type { Cluster, Leases, PeerService, PurgeOrder } from "@pullring/core";
import type { Digest } from "@pullring/oci";
import type { Exclusively } from "@pullring/storage";

import { systemRandom } from "./clock.ts";
import type { Config } from "./config/index.ts";
import type { ByteMover } from "./http/byte-mover.ts";
import { keptFile } from "./kept-file.ts";
import { mayDial, openPeers, type PeerViews } from "./open-peers.ts";
import { openRedisSide, type RedisSide } from "./open-redis.ts";
import type { Parts } from "./parts.ts";
import { purgeKey, purgeOrderOf } from "./purge-key.ts";
import { StartError } from "./start-error.ts";
import { version } from "./version.ts";

/** A node's place among others. */
export interface ClusterSide {
  /** What the cache needs of it. */
  readonly ports: Cluster;
  readonly membership: Membership;
  readonly client: PeerClient;
  /** What nodes share of their lanes; absent without Redis. */
  readonly sharing: Pick<RedisSide, "budgets" | "priors" | "board"> | undefined;
  /** Runs house-keeping on one node at a time. */
  readonly exclusively: Exclusively;
  /** Answers peers from now on, and obeys word of purges. Rejects when it can't listen. */
  listen(service: PeerService, views: PeerViews): Promise<void>;
  /** Leaves word of a purge for members that are not reached. Rejects when it can't be left. */
  leaveWord(order: PurgeOrder): Promise<void>;
  /** Why this node is less than it was set up to be. */
  degradedBy(): readonly string[];
  /** Takes no new connections of peers; resolves when what they asked for has ended. */
  drained(): Promise<void>;
  /** Cuts what peers still ask for. */
  hangUp(): Promise<void>;
  /** Tells the others that this node is gone. */
  close(): Promise<void>;
}

type ClusterConfig = NonNullable<Config["cluster"]>;

export interface ClusterOptions {
  readonly mover: ByteMover;
  /** Told of word that was left of purges, again and again. */
  readonly onPurge: (order: PurgeOrder) => void;
}

export async function openCluster(parts: Parts, options: ClusterOptions): Promise<ClusterSide | undefined> {
  const { config } = parts;
  return config.cluster && (await openMember(parts, config.cluster, options));
}

async function openMember(
  parts: Parts,
  cluster: ClusterConfig,
  { mover, onPurge }: ClusterOptions,
): Promise<ClusterSide> {
  const { config, clock, log } = parts;
  const self = { ...config.node, url: cluster.peer.url, incarnation: randomUUID(), version };
  const onWord = (key: string, atMs: number): void => {
    const order = purgeOrderOf(key, atMs);
    if (order) onPurge(order);
  };
  const late: { membership?: Membership } = {};
  const members = (): readonly string[] => late.membership?.nodes().map(({ id }) => id) ?? [];
  const redis =
    cluster.redis && openRedisSide(parts, { config: cluster.redis, self: self.id, members, onPurge: onWord });
  const peers = openPeers(parts, { config: cluster.peer, self, membership: () => late.membership, mover });
  const { client } = peers;
  const membership = (late.membership = await openMembership({
    self,
    source: redis ? { beats: redis.beats } : { members: cluster.members ?? [] },
    clock,
    random: systemRandom,
    log,
    lastRing: keptFile(config.storage.disk.path, "ring"),
    answers: async (url, incarnation) => (await client.hello(url)).incarnation === incarnation,
    greet: (url, node) => client.hello(url, node),
    mayDial: mayDial(cluster.peer),
  }).catch((error: unknown) => {
    throw new StartError(`node.id: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }));
  const leases = redis?.leases ?? noLeases;

  return {
    ports: { owners: membership, blobs: client.blobs, manifests: client.manifests, leases },
    membership,
    client,
    sharing: redis,
    exclusively: exclusivelyBy(membership, leases),
    async listen(service, views) {
      await peers.listen(service, views);
      redis?.purges.follow();
      redis?.board.follow();
    },
    leaveWord: async (order) => redis?.purges.put(purgeKey(order), order.atMs),
    drained: () => peers.drained(),
    degradedBy: () => [...membership.status().reasons, ...(redis?.warnings() ?? [])],
    hangUp: () => peers.close(),
    async close() {
      await membership.leave();
      await client.close();
      await redis?.close();
    },
  };
}

/** Members by their list need no lease service: the ring alone decides who fetches. */
const noLeases: Leases = {
  acquire: () => Promise.resolve({ state: "unavailable" }),
  changed: () => Promise.resolve(),
};

/** The node that owns the task's name runs it, and only while it has the lease of that name: rings may differ for a moment. */
function exclusivelyBy(membership: Membership, leases: Leases): Exclusively {
  return async (name, run) => {
    const key = `sha256:${createHash("sha256").update(name).digest("hex")}` as Digest;
    if (membership.of(key)[0] !== membership.self) return;
    const answer = await leases.acquire(key);
    if (answer.state === "held") return;
    try {
      await run();
    } finally {
      if (answer.state === "acquired") await answer.lease.release();
    }
  };
}
