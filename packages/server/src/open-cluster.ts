import { createHash, randomUUID } from "node:crypto";

import {
  makePeerClient,
  makePeerHandler,
  openMembership,
  openPeerListener,
  type Membership,
  type MembershipOptions,
  type PeerClient,
  type PeerListener,
  type PeerTrust,
} from "@pullring/cluster";
import type { Cluster, Leases, PeerService } from "@pullring/core";
import type { Digest } from "@pullring/oci";
import type { Exclusively } from "@pullring/storage";

import { networks } from "./clients/networks.ts";
import { systemRandom } from "./clock.ts";
import type { Config } from "./config/index.ts";
import type { ByteMover } from "./http/byte-mover.ts";
import { cutConnection } from "./http/cut.ts";
import { lastRingFile } from "./last-ring-file.ts";
import { openRedisSide, type RedisSide } from "./open-redis.ts";
import type { Parts } from "./parts.ts";
import { pemSource } from "./pem-source.ts";
import { StartError } from "./start-error.ts";
import { version } from "./version.ts";

/** A node's place among others. */
export interface ClusterSide {
  /** What the cache needs of it. */
  readonly ports: Cluster;
  readonly membership: Membership;
  readonly client: PeerClient;
  /** Runs house-keeping on one node at a time. */
  readonly exclusively: Exclusively;
  /** Answers peers from now on. Rejects when it can't listen. */
  listen(service: PeerService): Promise<void>;
  /** Why this node is less than it was set up to be. */
  degradedBy(): readonly string[];
  /** What peers asked for ends, or is cut; then the others are told that this node is gone. */
  close(): Promise<void>;
}

type ClusterConfig = NonNullable<Config["cluster"]>;

export async function openCluster(parts: Parts, mover: ByteMover): Promise<ClusterSide | undefined> {
  const { config } = parts;
  return config.cluster && (await openMember(parts, config.cluster, mover));
}

async function openMember(parts: Parts, cluster: ClusterConfig, mover: ByteMover): Promise<ClusterSide> {
  const { config, clock, log, metrics } = parts;
  const { peer } = cluster;
  const self = { ...config.node, url: peer.url, incarnation: randomUUID(), version };
  const trust = openTrust(parts, peer);
  const redis = cluster.redis && openRedisSide(parts, cluster.redis, self.id);
  const late: { membership?: Membership } = {};
  const client = makePeerClient({
    self: self.id,
    epoch: () => late.membership?.ring().epoch ?? "",
    trust,
    clock,
    urlOf: (node) => late.membership?.urlOf(node),
    report: (node, health) => late.membership?.report(node, health),
    onEpoch: (_, epoch) => late.membership?.sawEpoch(epoch),
    observe: ({ peer: asked, outcome }) => metrics.peerRequest({ peer: asked, outcome }),
  });
  const membership = await openMembership({
    self,
    source: sourceOf(cluster, redis),
    clock,
    random: systemRandom,
    log,
    lastRing: lastRingFile(config.storage.disk.path),
    answers: async (url, incarnation) => (await client.hello(url)).incarnation === incarnation,
    mayDial: dialable(peer),
  }).catch((error: unknown) => {
    throw new StartError(`node.id: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  });
  late.membership = membership;
  const leases = redis?.leases ?? noLeases;
  const listening: { on?: PeerListener } = {};

  return {
    ports: { owners: membership, blobs: client.blobs, manifests: client.manifests, leases },
    membership,
    client,
    exclusively: exclusivelyBy(membership, leases),
    async listen(service) {
      const handler = makePeerHandler({
        service,
        self,
        incarnation: self.incarnation,
        epoch: () => membership.ring().epoch,
        trust,
        hostOf: (node) => hostOf(membership.urlOf(node)),
        clock,
        sender: {
          send: (response, body, start, end) => mover.move(response, body, { start, end }),
          cut: cutConnection,
        },
        onEpoch: (_, epoch) => membership.sawEpoch(epoch),
        onFault: (error) => log.error({ err: error }, "a peer could not be answered"),
      });
      const allowed = peer.allow && networks(peer.allow);
      const admits = allowed && { admits: (address: string) => allowed.contains(address) };
      listening.on = await openPeerListener({ listen: peer.listen, trust, handler, ...admits });
    },
    degradedBy: () => [...membership.status().reasons, ...(redis?.warnings() ?? [])],
    async close() {
      await membership.leave();
      await listening.on?.close();
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

function sourceOf({ members }: ClusterConfig, redis: RedisSide | undefined): MembershipOptions["source"] {
  return redis ? { beats: redis.beats } : { members: members ?? [] };
}

function openTrust(parts: Parts, { secret, tls }: ClusterConfig["peer"]): PeerTrust {
  const pem = (path: string): (() => string) => pemSource(parts, path);
  return {
    ...(secret && { secrets: () => [secret.read()] }),
    ...(tls && { tls: { ca: pem(tls.caFile), cert: pem(tls.certFile), key: pem(tls.keyFile) } }),
  };
}

/** Names are looked at where they are resolved. */
function dialable({ allow }: ClusterConfig["peer"]): (url: string) => boolean {
  const allowed = allow && networks(allow);
  return (url) => {
    const host = hostOf(url) ?? "";
    return !allowed || !/^[\d.]+$|:/.test(host) || allowed.contains(host);
  };
}

const hostOf = (url: string | undefined): string | undefined =>
  url === undefined ? undefined : new URL(url).hostname.replace(/^\[(.*)\]$/, "$1");

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
