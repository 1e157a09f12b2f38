import type { Cluster, PeerService, PurgeOrder, SharedBlobs } from "./cluster-ports.ts";
import type { PullringError } from "./errors.ts";
import { Blobs } from "./blobs.ts";
import { makeFillGate, type FillGate } from "./fill-gate.ts";
import { makeFillSource } from "./fill-source.ts";
import { Fills, type FillsOptions } from "./fills.ts";
import { makeHot } from "./hot.ts";
import { limits } from "./limits.ts";
import { makeLinks, type Links } from "./links.ts";
import { makeLists, type ListPolicy, type Lists } from "./lists.ts";
import { Manifests } from "./manifests.ts";
import type { AroundFill, Observe } from "./observe.ts";
import type { Pins } from "./pins.ts";
import type { BlobSource, BlobStore, Clock, ListSource, ManifestSource, RecordStore } from "./ports.ts";
import { entomb, purge } from "./purge.ts";
import { makeQuarantine } from "./quarantine.ts";
import { makeRecent } from "./recent.ts";
import type { LaneAnswer, LaneOrder } from "./quota-ports.ts";
import { Search, type SearchOrder } from "./search.ts";
import { servePeers } from "./serve-peers.ts";
import { Tags, type TagPolicy } from "./tags.ts";
import { makeTombstones } from "./tombstones.ts";

export interface CacheDeps {
  readonly clock: Clock;
  readonly store: BlobStore;
  readonly records: RecordStore;
  readonly manifests: ManifestSource;
  readonly blobs: BlobSource;
  readonly lists: ListSource;
  readonly policy: TagPolicy & ListPolicy;
  readonly staleIfErrorMs: number;
  /** Checks tags that are asked for again and again before their windows end. */
  readonly refreshHot?: boolean | undefined;
  readonly pins: Pins;
  readonly observe: Observe;
  readonly aroundFill?: AroundFill | undefined;
  /** The other nodes, where there are any. */
  readonly cluster?: Cluster | undefined;
  /** Shared storage, where there is any. */
  readonly shared?: SharedBlobs | undefined;
  /** Asks by a lane that only this node has, for a peer. */
  readonly fetchOnLane?: ((order: LaneOrder) => Promise<LaneAnswer>) | undefined;
}

type FillCounts = ReturnType<FillGate["counts"]>;

/** The cache of one node. What each part promises stands at its interface. */
export interface Cache {
  readonly blobs: Blobs;
  readonly manifests: Manifests;
  readonly tags: Tags;
  readonly lists: Lists;
  readonly fills: Fills;
  /** Fills that run and wait, for clients and for peers. */
  readonly gate: Pick<FillGate, "counts">;
  /** What this node does for its peers. */
  readonly peers: PeerService;
  purge(order: PurgeOrder): Promise<void>;
  /** Remembers a purge of before this start: records from before it, here or in S3, are not taken for good again. */
  entomb(order: PurgeOrder): void;
}

/** Builds the parts upon each other; nothing starts by itself. */
export function makeCache(deps: CacheDeps): Cache {
  const { clock, store, records, observe, pins, policy, staleIfErrorMs, cluster, shared } = deps;
  const entriesMax = limits.negativesMax;
  const missing = makeRecent<PullringError>(clock, { ttlMs: limits.negativeMs, entriesMax });
  const unheld = makeRecent<true>(clock, { ttlMs: limits.negativeMs, entriesMax });
  const links = makeLinks({ records, manifests: deps.manifests, blobs: deps.blobs });
  const tombstones = makeTombstones(clock);
  const hot = makeHot(clock);
  const quarantine = makeQuarantine({ clock, observe, shared });
  const searchParts = { clock, cluster, shared, quarantine, hot, unheld };
  const openSearch = (order: SearchOrder): Search => new Search(searchParts, order);
  const gates = { forward: makeFillGate(limits), owner: makeFillGate(peerGate) };
  const fills = new Fills({
    openSource: (order) => makeFillSource({ upstream: deps.blobs, shared, cluster }, openSearch(order)),
    isWanted: (digest) => !cluster || cluster.owners.of(digest)[0] === cluster.owners.self || hot.isHot(digest),
    store,
    clock,
    gates,
    observe,
    around: deps.aroundFill,
    quarantine,
    tombstones,
    shared,
    onKept: cluster && !shared ? (kept) => void linkPublic(links, kept) : undefined,
  });
  const manifests = new Manifests({
    source: deps.manifests,
    onSave: (digest, named) => pins.learn(digest, named),
    clock,
    openSearch,
    cluster,
    shared,
    tombstones,
    store,
    links,
    missing,
    observe,
  });
  const tags = new Tags({
    source: deps.manifests,
    onMove: (repository, tag, digest) => void pins.moved(repository, tag, digest),
    clock,
    records,
    manifests,
    cluster,
    tombstones,
    policy,
    staleIfErrorMs,
    refreshHot: deps.refreshHot,
    missing,
    observe,
  });
  const blobs = new Blobs({ clock, store, fills, links, source: deps.blobs, missing, cluster, shared });
  const lists = makeLists({ clock, records, source: deps.lists, policy, staleIfErrorMs, missing, observe });
  const purgeHere = (order: PurgeOrder): Promise<void> => purge({ store, fills, tags, tombstones }, order);
  const { fetchOnLane } = deps;
  const peers = servePeers({ blobs, manifests, tags, purge: purgeHere, fetchOnLane, observe });
  const counts = (): FillCounts => sum(gates.forward.counts(), gates.owner.counts());
  const entombHere = (order: PurgeOrder): void => entomb(tombstones, order);
  return { blobs, manifests, tags, lists, fills, gate: { counts }, peers, purge: purgeHere, entomb: entombHere };
}

const sum = (a: FillCounts, b: FillCounts): FillCounts => ({
  running: a.running + b.running,
  queued: a.queued + b.queued,
});

/**
 * Public bytes need no link; without shared storage they get one all the same, because a node that leaves the cluster hands over what
 * its links tell of, and the manifests of what it owns may all have been verified elsewhere.
 */
async function linkPublic(links: Links, kept: Parameters<NonNullable<FillsOptions["onKept"]>>[0]): Promise<void> {
  const { repository, digest, size, access } = kept;
  if (access !== "public" || (await links.get(repository, digest))) return;
  await links.put(repository, digest, { kind: "blob", access, size });
}

const peerGate = {
  fillsMax: limits.peerFillsMax,
  fillsPerClientMax: limits.peerFillsPerNodeMax,
  fillQueueMax: limits.fillQueueMax,
};
