import type { PurgeOrder, Repository } from "@pullring/core";
import type { Digest } from "@pullring/oci";
import type { FastifyInstance } from "fastify";

import {
  ClusterEvents,
  fillsHere,
  fillsOf,
  heldOf,
  loneDrainer,
  loneRing,
  makeAdminApi,
  makeHeldHere,
  makePurger,
  makeWarmBudget,
  servePage,
  tellHeld,
  warm,
  type EventFeed,
  type EventSources,
  type HeldHere,
  type QuotaView,
  type RingView,
} from "./admin/index.ts";
import { canonicalNames } from "./config/index.ts";
import type { Drain } from "./drain.ts";
import { makeAdminApp } from "./health/admin-app.ts";
import { makeHealth, type Health } from "./health/health.ts";
import type { PeerViews } from "./open-peers.ts";
import type { Parts } from "./parts.ts";
import { purgeKey } from "./purge-key.ts";
import type { PurgeLog } from "./purge-log.ts";
import type { Told } from "./read-metrics.ts";

export interface AdminSide extends Told {
  readonly purges: PurgeLog;
  readonly drain: Drain | undefined;
  readonly quota: QuotaView;
  readonly feed: EventFeed;
}

/** The admin listener, not yet listening. */
export interface AdminListener {
  readonly health: Health;
  readonly admin: FastifyInstance;
  /** What peers' admin APIs are told of this node. */
  readonly views: PeerViews;
}

export function openAdmin(parts: Parts, side: AdminSide): AdminListener {
  const health = makeHealth({ degradedBy: () => degradedBy(side) });
  const { api, views } = openApi(parts, side, health);
  return { health, admin: makeAdminApp({ health, metrics: parts.metrics, api, page: servePage }), views };
}

function degradedBy({ storage: { disk, s3 }, cluster }: AdminSide): readonly string[] {
  const ofDisk = disk.diskless === undefined ? [] : [`no disk: ${disk.diskless}`];
  const ofS3 = s3?.degraded();
  return [...ofDisk, ...(ofS3 === undefined ? [] : [ofS3]), ...(cluster?.degradedBy() ?? [])];
}

interface Api {
  readonly api: ReturnType<typeof makeAdminApi>;
  readonly views: PeerViews;
}

/** The admin API over the parts of this node. */
function openApi(parts: Parts, side: AdminSide, health: Health): Api {
  const { config, clock, log, metrics } = parts;
  const { cache, cluster, drain, quota, storage, feed } = side;
  const ring = cluster?.membership ?? loneRing(config.node);
  const held = makeHeldHere({ config, storage, fills: cache.fills, metrics, clock });
  feed.watch(sourcesOf(side, { health, ring, held }));
  // A node that is alone has nobody to ask.
  const ask = async (work: Promise<unknown> | undefined): Promise<unknown> => await (work ?? []);
  const api = makeAdminApi({
    config,
    clock,
    log,
    names: { default: config.default, canonical: canonicalNames(config.upstreams) },
    ring,
    fills: fillsOf(
      () => cache.fills.list(),
      (node) => ask(cluster?.client.fills(node)),
    ),
    held: heldOf(held, (node, view, query) => ask(cluster?.client.view(node, view, query))),
    quota,
    warmer: { warm: (order) => warm(warmParts(parts, side), order) },
    events: new ClusterEvents({
      feed,
      ring,
      clock,
      ask: (node, cursor) => ask(cluster?.client.view(node, "events", new URLSearchParams({ cursor }).toString())),
    }),
    drainer: drain ?? loneDrainer,
    purger: purgerOf(parts, side),
  });
  const views: PeerViews = {
    fills: () => fillsHere(cache.fills.list()),
    quota: () => quota.here(),
    view: (view, query) =>
      view === "events" ? feed.since(new URLSearchParams(query).get("cursor") ?? "") : tellHeld(held, view, query),
  };
  return { api, views };
}

interface Looked {
  readonly health: Health;
  readonly ring: RingView;
  readonly held: HeldHere;
}

function sourcesOf({ cache }: AdminSide, { health, ring, held }: Looked): EventSources {
  const isLeaving = (): boolean => ring.nodes().some(({ id, state }) => id === ring.self && state === "leaving");
  return {
    ring: () => ({
      epoch: ring.ring().epoch,
      nodes: ring.nodes().map(({ id, state, benched }) => ({ id, state, benched })),
    }),
    draining: () => health.readyz().word === "draining" || isLeaving(),
    reasons: () => health.readyz().reasons,
    fills: () => cache.fills.list(),
    counters: () => ({ tiers: [...held.tiers()], fills: { ...cache.gate.counts() } }),
  };
}

function warmParts({ config, clock }: Parts, { cache, quota, storage: { s3 } }: AdminSide): Parameters<typeof warm>[0] {
  const isHeld = async (repository: Repository, digest: Digest): Promise<boolean> =>
    (await cache.manifests.isHeld(repository, digest)) || (await s3?.blobs.stat(digest)) !== undefined;
  const reserveOf = (upstream: string): number => config.upstreams[upstream]?.quota?.reserve ?? 0;
  return { cache, clock, isHeld, mayAsk: makeWarmBudget({ quota, reserveOf }) };
}

function purgerOf(
  { config, log }: Parts,
  { purges, cluster, storage: { s3 } }: AdminSide,
): ReturnType<typeof makePurger> {
  const self = config.node.id;
  const shared = s3 && {
    async shared(order: PurgeOrder): Promise<void> {
      const { digest, repository, tag, atMs } = order;
      // Words and records are written when S3 takes them: while it does not, nobody may be told that they are.
      const degraded = s3.degraded();
      if (degraded !== undefined) throw new Error(degraded);
      s3.tombstones.put(purgeKey(order), atMs);
      if (digest !== undefined) await s3.blobs.remove(digest);
      else if (repository && tag !== undefined) await s3.records.remove({ repository, kind: "tag", name: tag });
      else if (repository) await s3.purgeRecords(repository, atMs);
    },
  };
  const others = (): readonly string[] =>
    (cluster?.membership.nodes() ?? []).map(({ id }) => id).filter((id) => id !== self);
  const at = (node: string, order: PurgeOrder): Promise<void> =>
    cluster ? cluster.client.purge(node, order) : Promise.reject(new Error("there is no cluster"));
  async function here(order: PurgeOrder): Promise<void> {
    await purges.run(order);
    // Those who are not reached below read it later.
    await cluster?.leaveWord(order).catch((error: unknown) => {
      log.warn({ err: error }, "no word of a purge could be left in Redis for nodes that are away");
    });
  }
  return makePurger({ self, others, here, at, ...shared });
}
