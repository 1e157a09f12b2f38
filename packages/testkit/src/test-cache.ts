import { type CacheEvent, makeCache, makePins, PullringError, type Repository } from "@pullring/core";

import { memoryBlobStore, memoryRecords } from "./memory-store.ts";
import { scriptedUpstream } from "./scripted-upstream.ts";
import { virtualClock } from "./virtual-clock.ts";

/** A whole cache over fakes, for tests: an upstream that counts, a clock that only the test moves. */
export function testCache(
  policy: { freshMs?: number; staleIfErrorMs?: number; pins?: readonly string[]; refreshHot?: boolean } = {},
) {
  const clock = virtualClock();
  const store = memoryBlobStore();
  const records = memoryRecords();
  const upstream = scriptedUpstream((what) => new PullringError("missing", what));
  const events: CacheEvent[] = [];
  const freshMs = (): number => policy.freshMs ?? 60_000;
  const pins = makePins(policy.pins ?? [], store);
  const cache = makeCache({
    clock,
    store,
    records,
    manifests: upstream.manifests,
    blobs: upstream.blobs,
    lists: upstream.lists,
    policy: { freshMs, listFreshMs: freshMs },
    staleIfErrorMs: policy.staleIfErrorMs ?? 86_400_000,
    refreshHot: policy.refreshHot,
    pins,
    observe: (event) => void events.push(event),
  });
  return { cache, clock, store, records, upstream, events, pins };
}

export const repositoryA: Repository = { upstream: "docker.io", name: "acme/a" };
export const repositoryB: Repository = { upstream: "docker.io", name: "acme/b" };

/** A small image manifest that names one config and one layer. */
export const imageManifest = (config: string, layer: string, salt = ""): string =>
  JSON.stringify({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: { mediaType: "application/vnd.oci.image.config.v1+json", digest: config, size: 2 },
    layers: [{ mediaType: "application/vnd.oci.image.layer.v1.tar", digest: layer, size: 5 }],
    annotations: { salt },
  });

export const down = (): never => {
  throw new PullringError("unavailable", "upstream is down");
};
