import { createHash } from "node:crypto";

import type { Digest } from "@pullring/oci";

import type { Content } from "./content.ts";
import type { Fault, FaultKind } from "./plan.ts";
import type { SimCluster } from "./sim-cluster.ts";
import { name } from "./sim-upstream.ts";
import type { World } from "./world.ts";

export interface Checked {
  readonly world: World;
  readonly content: Content;
  readonly cluster: SimCluster;
}

const digestOf = (bytes: Buffer): string => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

/** I2: nothing is published that does not hash to its name. */
export function checkHeld({ world, cluster }: Checked): void {
  const { nodes, shared } = cluster;
  const places = [...nodes.map(({ id, store }) => ({ id, held: store.held })), { id: "s3", held: shared.held }];
  for (const { id, held } of places)
    for (const [digest, { bytes }] of held)
      if (digestOf(bytes) !== digest) world.broken(`I2: ${id} holds wrong bytes as ${digest}`);
}

/** I6: the ring depends on nothing but the members, and all nodes see the same ones. */
export function checkRings({ world, cluster }: Checked): void {
  const { nodes } = cluster;
  const seen = nodes.map(({ membership }) => membership?.ring().members.map(({ id }) => id) ?? []);
  const epochs = new Set(nodes.map(({ membership }) => membership?.ring().epoch));
  if (world.plan.hasBeats && (epochs.size > 1 || seen[0]?.length !== nodes.length))
    world.broken(`I6: the rings after the faults are ${JSON.stringify(seen)}`);
}

/** What was purged is held only if upstream was asked for it afterwards. */
export function checkPurges({ world, cluster }: Checked): void {
  const { nodes, shared, upstream, purges } = cluster;
  const places = [...nodes.map(({ id, store }) => ({ id, held: store.held })), { id: "s3", held: shared.held }];
  for (const { digest, atMs } of purges) {
    if (!digest) continue;
    const isAnew = upstream.gets.some((get) => get.digest === digest && get.beganAtMs >= atMs);
    for (const { id, held } of places)
      if (held.has(digest) && !isAnew) world.broken(`purge: ${id} holds ${digest} again`);
  }
}

/**
 * I3: how many whole GETs of one digest are one too many. What upstream broke, or whose node died or stopped it, is not whole;
 * beyond the first, each of these accounts for one.
 */
const credits: Partial<Record<FaultKind, number>> = {
  // Its copy can't be had while it is away, and its GET may have been whole without being published.
  kill: 1,
  // Its copy is gone.
  evict: 1,
  // Taken over, or its copy not to be had.
  hang: 1,
  // Whoever can't reach a node does what that would have done, and does not find what it has.
  sever: 1,
  // Nobody knows who fetches, or that somebody has.
  redis_wiped: 1,
  redis_cut_off: 1,
  redis_lossy: 1,
  shared_down: 1,
  shared_corrupt: 1,
};

/**
 * Wrong bytes are known as such only with the last one. Until then others have gone on from the same beginning: each of them fetches
 * the rest, and finds that the whole is wrong.
 */
const spreading: readonly FaultKind[] = ["lie", "upstream_corrupts", "shared_corrupt"];

export function checkGets({ world, content, cluster }: Checked): void {
  for (const { digest } of content.items) {
    const whole = cluster.upstream.gets.filter((get) => get.digest === digest && get.end === "whole").length;
    const allowed = 1 + allowance(world, cluster, digest);
    if (whole > allowed) world.broken(`I3: ${whole} whole GETs of ${name(digest)}, ${allowed} can be accounted for`);
  }
}

function allowance({ plan }: World, cluster: SimCluster, digest: Digest): number {
  const of = (...kinds: FaultKind[]): readonly Fault[] => plan.faults.filter(({ kind }) => kinds.includes(kind));
  const counted = plan.faults.reduce((sum, { kind }) => sum + (credits[kind] ?? 0), 0);
  const purges = cluster.purges.filter((order) => order.digest === digest).length;
  // Without leases each view of the ring has an owner of its own; a node that left one view is another view for a while.
  const views = of("redis_down").length * (of("other_ring", "leave").length + plan.misses.length);
  const spread = of(...spreading).length * (plan.nodes - 1);
  const unseen = cluster.upstream.gets.filter((get) => get.digest === digest && get.isUnseen).length;
  return counted + purges + views + spread + unseen;
}
