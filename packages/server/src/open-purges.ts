import type { Cache, PurgeOrder } from "@pullring/core";

import type { EventFeed } from "./admin/index.ts";
import { keptFile } from "./kept-file.ts";
import type { Storage } from "./open-storage.ts";
import type { Parts } from "./parts.ts";
import { purgeKey } from "./purge-key.ts";
import { openPurgeLog, type PurgeLog } from "./purge-log.ts";

export interface PurgesOptions {
  readonly cache: Pick<Cache, "purge" | "entomb">;
  readonly storage: Pick<Storage, "purgeRecords">;
  readonly feed: Pick<EventFeed, "tell">;
}

/** Carries out purges on this node, whoever orders them, and remembers them. */
export function openPurges({ config, clock, log, ledger }: Parts, options: PurgesOptions): Promise<PurgeLog> {
  const { cache, storage, feed } = options;
  async function carryOut(order: PurgeOrder): Promise<void> {
    const { digest, repository, tag, atMs } = order;
    if (digest) ledger?.observe({ kind: "gone", digest, why: "purged" });
    await cache.purge(order);
    if (!digest && repository && tag === undefined) await storage.purgeRecords(repository, atMs);
    feed.tell({ kind: "purge", purged: purgeKey(order) });
  }
  const file = keptFile(config.storage.disk.path, "purges");
  return openPurgeLog({ file, clock, log, carryOut, recall: (order) => cache.entomb(order) });
}
