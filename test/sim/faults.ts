import type { NodeId, PurgeOrder } from "@pullring/core";

import { type Content, tag } from "./content.ts";
import type { Fault } from "./plan.ts";
import type { SimCluster, SimNode } from "./sim-cluster.ts";
import { name, type UpstreamFault } from "./sim-upstream.ts";
import type { World } from "./world.ts";

export interface Faults {
  /** Begins the fault and undoes it when its time is over. */
  run(fault: Fault): Promise<void>;
}

export interface FaultsOptions {
  readonly world: World;
  readonly content: Content;
  readonly cluster: SimCluster;
}

/** A way to begin a fault; returns how to end it, if it doesn't end by itself. */
type Begin = (node: SimNode, other: SimNode, fault: Fault) => (() => void) | undefined;

/** Word of members that come and go takes up to so long. */
const newsMs = 2_000;
/** A purge that did not reach a node is tried again after this. */
const purgeAgainMs = 1_000;

/** Leaves another out of the ring that the node sees; itself: all others. */
export function misses(node: SimNode, other: NodeId): void {
  const left = node.members.filter((id) => (node.id === other ? id === other : id !== other));
  if (left.length > 0) node.members = left;
}

export function makeFaults({ world, content, cluster }: FaultsOptions): Faults {
  const { clock, random, severed, liars } = world;
  const { nodes, redis, shared, upstream } = cluster;
  const { board } = cluster.members;

  const upstreamFault = (kind: UpstreamFault) => (): (() => void) => {
    const count = (by: number): void => void upstream.faults.set(kind, (upstream.faults.get(kind) ?? 0) + by);
    count(1);
    return () => count(-1);
  };

  /** The node hears after a while that another has left the ring, or is back. */
  async function tell(node: SimNode, of: NodeId, isMember: boolean): Promise<void> {
    await clock.sleep(random.below(newsMs));
    const others = node.members.filter((member) => member !== of);
    if (isMember || others.length > 0) node.members = isMember ? [...others, of] : others;
    world.note(`${node.id} sees ${node.members.join(" ")} in the ring`);
    if (nodes.some(({ members }) => members.length !== nodes[0]?.members.length)) world.reached("rings disagreed");
  }

  async function carryOut(node: SimNode, order: PurgeOrder): Promise<void> {
    for (;;) {
      await clock.sleep(random.below(100));
      const { process, cache } = node;
      const isDone = await Promise.race([process.run(() => cache.purge(order)), process.died]).then(
        () => true,
        () => false,
      );
      if (isDone) break;
      await clock.sleep(purgeAgainMs);
    }
    node.purged.add(order);
  }

  async function purge(of: number): Promise<void> {
    const { items, repositories } = content;
    const digest = (of > 2 ? items[0] : items[(of * 2) % (items.length + 1)])?.digest;
    const [repository] = repositories;
    const atMs = clock.now();
    const order: PurgeOrder = digest ? { digest, atMs } : { atMs, tag, ...(repository ? { repository } : {}) };
    world.note(`purge of ${digest ? name(digest) : "a tag"}`);
    if (upstream.gets.some((get) => get.digest === digest && get.end === "running"))
      world.reached("purged while it was fetched");
    if (digest) shared.held.delete(digest);
    await Promise.all(nodes.map((node) => carryOut(node, order)));
    // An upload may have been under way on a node that had not heard of it.
    if (digest) shared.held.delete(digest);
    cluster.purges.push(order);
  }

  const begins: Readonly<Record<Fault["kind"], Begin>> = {
    kill(node) {
      if ((node.kills += 1) === 1) cluster.kill(node);
      return () => {
        if ((node.kills -= 1) === 0) void cluster.start(node);
      };
    },
    hang(node) {
      node.hangs += 1;
      node.process.hang();
      return () => {
        if ((node.hangs -= 1) === 0) node.process.resume();
      };
    },
    sever(node, other) {
      severed.add(`${node.id}>${other.id}`);
      return () => void severed.delete(`${node.id}>${other.id}`);
    },
    lie(node) {
      liars.add(node.id);
      return () => void liars.delete(node.id);
    },
    evict(node) {
      node.store.held.clear();
      return undefined;
    },
    leave(node) {
      const { membership } = node;
      if (membership) {
        void membership.drain();
        return () => void membership.undrain();
      }
      for (const one of nodes) void tell(one, node.id, false);
      return () => {
        for (const one of nodes) void clock.sleep(newsMs).then(() => tell(one, node.id, true));
      };
    },
    other_ring(node, other) {
      misses(node, other.id);
      world.reached("rings disagreed");
      return () => (node.members = nodes.map(({ id }) => id));
    },
    redis_down() {
      redis.downs += 1;
      board.isDown = true;
      return () => {
        redis.downs -= 1;
        board.isDown = redis.downs > 0;
      };
    },
    redis_lossy() {
      redis.losses += 1;
      return () => (redis.losses -= 1);
    },
    redis_cut_off(node) {
      for (const cut of [redis.cutOff, board.severed]) cut.add(node.id);
      return () => {
        for (const cut of [redis.cutOff, board.severed]) cut.delete(node.id);
      };
    },
    redis_wiped() {
      redis.wipe();
      board.wipe();
      return undefined;
    },
    shared_down() {
      shared.downs += 1;
      return () => (shared.downs -= 1);
    },
    shared_corrupt() {
      shared.corruptions += 1;
      return () => (shared.corruptions -= 1);
    },
    upstream_down: upstreamFault("upstream_down"),
    upstream_throttles: upstreamFault("upstream_throttles"),
    upstream_cuts: upstreamFault("upstream_cuts"),
    upstream_corrupts: upstreamFault("upstream_corrupts"),
    upstream_slow: upstreamFault("upstream_slow"),
    purge: () => undefined,
    tag_moves(_node, _other, { other }) {
      const repository = content.repositories[other % 2];
      if (repository) content.moveTag(repository);
      return undefined;
    },
  };

  return {
    async run(fault) {
      await clock.sleep(fault.atMs);
      const node = nodes[fault.node % nodes.length];
      const other = nodes[fault.other % nodes.length];
      if (!node || !other) throw new Error("a cluster without nodes");
      world.note(`fault ${fault.kind} begins at ${node.id}, ${other.id}`);
      if (fault.kind === "purge") return purge(fault.other);
      const end = begins[fault.kind](node, other, fault);
      await clock.sleep(fault.forMs);
      world.note(`fault ${fault.kind} ends`);
      end?.();
      await clock.sleep(2 * newsMs);
    },
  };
}
