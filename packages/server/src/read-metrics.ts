import type { Cache } from "@pullring/core";

import type { ClusterSide } from "./open-cluster.ts";
import type { Storage } from "./open-storage.ts";
import type { Parts } from "./parts.ts";

export interface Told {
  readonly cache: Cache;
  readonly storage: Storage;
  readonly cluster: ClusterSide | undefined;
}

/** Gives the gauges what they read. A node that is alone is a ring of one. */
export function readMetrics({ metrics }: Parts, { cache, storage, cluster }: Told): void {
  const { disk, memory, s3 } = storage;
  metrics.read({
    fills: () => ({ ...cache.gate.counts() }),
    fillReaders: () => cache.fills.list().reduce((sum, fill) => sum + fill.progress().readers, 0),
    tierBytes: {
      memory: () => memory.bytes(),
      disk: () => disk.bytes(),
      ...(s3 && { s3: () => s3.usage()?.bytes ?? 0 }),
    },
    ringNodes: () => cluster?.membership.ring().members.length ?? 1,
    ringEpochsSeen: () => cluster?.membership.epochsSeen() ?? 1,
  });
}
