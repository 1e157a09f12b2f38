import { PullringError, type BlobSource, type ListSource, type ManifestSource } from "@pullring/core";

import { makeBlobSource } from "./blobs.ts";
import type { UpstreamsOptions } from "./config.ts";
import { makeListSource } from "./lists.ts";
import { makeManifestSource } from "./manifests.ts";
import { makeRegistry, type Registry } from "./registry.ts";
import { makeResolver } from "./resolver.ts";

export interface Upstreams {
  readonly manifests: ManifestSource;
  readonly blobs: BlobSource;
  readonly lists: ListSource;
  /** Ends every request that runs. */
  close(): Promise<void>;
}

export type RegistryOf = (upstream: string) => Registry;

/** All registries of the configuration behind core's ports. A closed table: no other host is ever asked. */
export function makeUpstreams(options: UpstreamsOptions): Upstreams {
  const resolve = makeResolver(options.clock);
  const registries = new Map(
    options.upstreams.map((upstream) => [upstream.name, makeRegistry({ ...options, upstream, resolve })]),
  );

  const registryOf: RegistryOf = (upstream) => {
    const registry = registries.get(upstream);
    if (!registry) throw new PullringError("unavailable", "no such upstream is configured");
    return registry;
  };

  return {
    manifests: makeManifestSource(registryOf),
    blobs: makeBlobSource(registryOf, options.clock),
    lists: makeListSource(registryOf),
    async close() {
      await Promise.all([...registries.values()].map((registry) => registry.close()));
    },
  };
}
