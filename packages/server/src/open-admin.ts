import type { PurgeOrder } from "@pullring/core";

import { fillsOf, loneDrainer, loneRing, makeAdminApi, makePurger, type QuotaView } from "./admin/index.ts";
import { canonicalNames } from "./config/index.ts";
import type { Drain } from "./drain.ts";
import type { Parts } from "./parts.ts";
import { purgeKey } from "./purge-key.ts";
import type { PurgeLog } from "./purge-log.ts";
import type { Told } from "./read-metrics.ts";

export interface AdminSide extends Told {
  readonly purges: PurgeLog;
  readonly drain: Drain | undefined;
  readonly quota: QuotaView;
}

/** The admin API over the parts of this node. */
export function openAdminApi(parts: Parts, side: AdminSide): ReturnType<typeof makeAdminApi> {
  const { config, clock, log } = parts;
  const { cache, cluster, drain, quota } = side;
  const askForFills = (node: string): Promise<unknown> => cluster?.client.fills(node) ?? Promise.resolve([]);
  return makeAdminApi({
    config,
    clock,
    log,
    names: { default: config.default, canonical: canonicalNames(config.upstreams) },
    ring: cluster?.membership ?? loneRing(config.node),
    fills: fillsOf(() => cache.fills.list(), askForFills),
    quota,
    drainer: drain ?? loneDrainer,
    purger: purgerOf(parts, side),
  });
}

function purgerOf(
  { config, log }: Parts,
  { purges, cluster, storage: { s3 } }: AdminSide,
): ReturnType<typeof makePurger> {
  const self = config.node.id;
  const shared = s3 && {
    async shared(order: PurgeOrder): Promise<void> {
      // Words and records are written when S3 takes them: while it does not, nobody may be told that they are.
      const degraded = s3.degraded();
      if (degraded !== undefined) throw new Error(degraded);
      s3.tombstones.put(purgeKey(order), order.atMs);
      if (order.digest !== undefined) await s3.blobs.remove(order.digest);
      else if (order.repository && order.tag !== undefined)
        await s3.records.remove({ repository: order.repository, kind: "tag", name: order.tag });
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
