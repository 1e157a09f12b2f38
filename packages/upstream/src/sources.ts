import {
  PullringError,
  type BlobSource,
  type LaneAnswer,
  type LaneBoard,
  type LaneFacts,
  type LaneOrder,
  type ListSource,
  type ManifestSource,
} from "@pullring/core";

import { makeBlobSource } from "./blobs.ts";
import type { UpstreamsOptions } from "./config.ts";
import { makeListSource } from "./lists.ts";
import { fetchOnLane, makeManifestSource } from "./manifests.ts";
import { makeRegistry, type Registry } from "./registry.ts";
import { makeResolver } from "./resolver.ts";

export interface Upstreams {
  readonly manifests: ManifestSource;
  readonly blobs: BlobSource;
  readonly lists: ListSource;
  /** Every lane of this node, as it is now. */
  lanes(): readonly LaneFacts[];
  /** For a node that has no such lane itself: a counted GET by one of this node's. Rejects as ManifestSource does. */
  fetchOnLane(order: LaneOrder): Promise<LaneAnswer>;
  /** Ends every request that runs. */
  close(): Promise<void>;
}

export type RegistryOf = (upstream: string) => Registry;

/** All registries of the configuration behind core's ports. A closed table: no other host is ever asked. */
export function makeUpstreams(options: UpstreamsOptions): Upstreams {
  const resolve = makeResolver(options.clock);
  const tell = makeTeller(options.board, () => lanes());
  const registries = new Map(
    options.upstreams.map((upstream) => [
      upstream.name,
      makeRegistry({ ...options, upstream, resolve, onLanes: tell }),
    ]),
  );

  const lanes = (): readonly LaneFacts[] => [...registries.values()].flatMap((registry) => registry.lanes());
  tell();

  const registryOf: RegistryOf = (upstream) => {
    const registry = registries.get(upstream);
    if (!registry) throw new PullringError("unavailable", "no such upstream is configured");
    return registry;
  };

  return {
    manifests: makeManifestSource({ registryOf, laneFetch: options.laneFetch }),
    blobs: makeBlobSource(registryOf, options.clock),
    lists: makeListSource(registryOf),
    lanes,
    fetchOnLane: (order) => fetchOnLane(registryOf, order),
    async close() {
      await Promise.all([...registries.values()].map((registry) => registry.close()));
    },
  };
}

/** Tells the other nodes of this one's lanes, where there is something new to tell. */
function makeTeller(board: LaneBoard | undefined, lanes: () => readonly LaneFacts[]): () => void {
  let told = "";
  return () => {
    // What has no budget is of no use to another node.
    const facts = board ? lanes().filter(({ budget }) => budget !== undefined) : [];
    const text = JSON.stringify(facts);
    if (!board || text === told) return;
    told = text;
    board.publish(facts);
  };
}
