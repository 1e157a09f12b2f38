import {
  type Cache,
  type CacheEvent,
  type Clock,
  makeCache,
  makePins,
  type NodeId,
  type Owners,
  type PurgeOrder,
} from "@pullring/core";
import { makeRedisLeases, type Membership } from "@pullring/cluster";
import type { Digest } from "@pullring/oci";
import { memoryBlobStore, type MemoryBlobStore, memoryRecords } from "@pullring/testkit";

import type { Content } from "./content.ts";
import type { Rings } from "./rings.ts";
import { makeSimMembers, type SimMembers } from "./sim-members.ts";
import { makeSimPeers } from "./sim-peers.ts";
import { SimProcess } from "./sim-process.ts";
import { makeSimRedis, type SimRedis } from "./sim-redis.ts";
import { makeSimShared, type SimShared, storeOf } from "./sim-shared.ts";
import { makeSimUpstream, name, type SimUpstream } from "./sim-upstream.ts";
import { makeWaitGraph, type WaitGraph } from "./wait-graph.ts";
import type { World } from "./world.ts";

export interface SimNode {
  readonly id: NodeId;
  readonly store: MemoryBlobStore;
  readonly records: ReturnType<typeof memoryRecords>;
  process: SimProcess;
  cache: Cache;
  /** Who is in the ring, as the plan has this node see it; its heartbeats go before. */
  members: readonly NodeId[];
  membership?: Membership;
  /** Purges that it has carried out; the disk keeps them over a restart. */
  readonly purged: Set<PurgeOrder>;
  /** How many faults hold it up. */
  hangs: number;
  kills: number;
}

export interface SimCluster {
  readonly nodes: readonly SimNode[];
  readonly upstream: SimUpstream;
  readonly redis: SimRedis;
  readonly shared: SimShared;
  readonly waits: WaitGraph;
  readonly events: readonly (CacheEvent & { readonly node: NodeId })[];
  readonly purges: PurgeOrder[];
  readonly members: SimMembers;
  /** Before anything is asked. */
  boot(): Promise<void>;
  kill(node: SimNode): void;
  /** Resolves when the node answers. */
  start(node: SimNode): Promise<void>;
}

/** Long enough for some records to be stale in a run, short enough for all to be by its end. */
const freshMs = 8_000;

/** Several whole caches over one scripted world. */
export function makeSimCluster(world: World, content: Content, rings: Rings): SimCluster {
  const redis = makeSimRedis(world);
  const shared = makeSimShared(world);
  const waits = makeWaitGraph(world);
  const events: (CacheEvent & { readonly node: NodeId })[] = [];
  const ids = Array.from({ length: world.plan.nodes }, (_, index) => `n${index + 1}`);
  const byId = new Map<NodeId, SimNode>();
  const at = (id: NodeId): SimNode => {
    const node = byId.get(id);
    if (!node) throw new Error(`no node ${id}`);
    return node;
  };
  const members = makeSimMembers(world);
  const peers = makeSimPeers({
    world,
    waits,
    at,
    holder: (digest) => redis.holder(digest),
    report: (self, node, how) => at(self).membership?.report(node, how),
  });

  function ownersOf(node: Pick<SimNode, "id" | "members" | "membership">): Owners {
    const { id } = node;
    return {
      self: id,
      of(key) {
        if (node.membership) return node.membership.of(key);
        const order = rings.successors(node.members, key);
        return order.includes(id) ? order : [...order, id];
      },
      others: (key) => node.membership?.others(key) ?? rings.successors(ids, key).filter((other) => other !== id),
    };
  }

  const isUnseen = (node: NodeId, digest: Digest): boolean => {
    const seen = new Set([node, ...ownersOf(at(node)).others(digest)]);
    return [...byId.values()].some(({ id, store }) => !seen.has(id) && store.held.has(digest));
  };
  const upstream = makeSimUpstream({ world, content, isUnseen });

  const clockOf = (process: SimProcess): Clock => ({
    now: () => world.clock.now(),
    monotonic: () => world.clock.monotonic(),
    sleep: (ms, signal) => process.run(() => world.clock.sleep(ms, signal)),
  });

  function cacheOf(node: Omit<SimNode, "cache">): Cache {
    const { id, process, store, records } = node;
    const timed = clockOf(process);
    const { manifests, blobs, lists } = upstream.of(id, process);
    return makeCache({
      clock: timed,
      store: storeOf(process, store),
      records: process.port(records, ["size"]),
      manifests,
      blobs,
      lists,
      policy: { freshMs: () => freshMs, listFreshMs: () => freshMs },
      staleIfErrorMs: 86_400_000,
      pins: makePins([], store),
      observe(event) {
        events.push({ ...event, node: id });
        if (event.kind === "fill_ended")
          world.note(
            `${id} fill of ${name(event.digest)} ends: ${event.state}, ${event.bytes} bytes, kept ${event.kept}`,
          );
        if (event.kind === "mismatch") world.reached("wrong bytes refused");
      },
      cluster: {
        owners: ownersOf(node),
        ...peers.of(id, process),
        leases: makeRedisLeases({
          redis: redis.of(id, process),
          self: id,
          clock: timed,
          random: () => world.random.next(),
          log: { warn: () => {} },
          observe: () => {},
        }),
      },
      ...(world.plan.hasShared ? { shared: shared.of(store, process) } : {}),
    });
  }

  for (const id of ids) {
    const facts = { id, store: memoryBlobStore(), records: memoryRecords(), process: new SimProcess(), members: ids };
    const made = { ...facts, purged: new Set<PurgeOrder>(), hangs: 0, kills: 0 };
    const node: SimNode = Object.assign(made, { cache: cacheOf(made) });
    byId.set(id, node);
  }

  return {
    nodes: [...byId.values()],
    upstream,
    redis,
    shared,
    waits,
    events,
    purges: [],
    kill(node) {
      world.note(`${node.id} dies`);
      node.process.kill();
    },
    members,
    async boot() {
      if (!world.plan.hasBeats) return;
      const opening = [...byId.values()].map(async (node) => {
        node.membership = await members.open(node.id, node.process, clockOf(node.process));
      });
      await Promise.all(opening);
    },
    async start(node) {
      world.note(`${node.id} starts`);
      const process = new SimProcess();
      const membership = world.plan.hasBeats ? await members.open(node.id, process, clockOf(process)) : undefined;
      // Killed again before it was there.
      if (node.kills > 0) return process.kill();
      node.process = process;
      if (membership) node.membership = membership;
      node.cache = cacheOf(node);
      for (const order of node.purged) node.cache.entomb(order);
    },
  };
}
