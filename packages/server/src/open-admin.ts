import type { PurgeOrder } from "@pullring/core";

import { fillsHere, loneDrainer, loneRing, makeAdminApi, makePurger } from "./admin/index.ts";
import { canonicalNames } from "./config/index.ts";
import type { Parts } from "./parts.ts";
import { purgeKey } from "./purge-key.ts";
import type { Told } from "./read-metrics.ts";

/** The admin API over the parts of this node. */
export function openAdminApi(parts: Parts, told: Told): ReturnType<typeof makeAdminApi> {
  const { config, clock, log } = parts;
  const { cache, cluster } = told;
  return makeAdminApi({
    config,
    clock,
    log,
    names: { default: config.default, canonical: canonicalNames(config.upstreams) },
    ring: cluster?.membership ?? loneRing(config.node),
    fills: fillsHere(() => cache.fills.list()),
    drainer: cluster?.membership ?? loneDrainer,
    purger: purgerOf(config.node.id, told),
  });
}

function purgerOf(self: string, { cache, cluster, storage: { s3 } }: Told): ReturnType<typeof makePurger> {
  const shared = s3 && {
    async shared(order: PurgeOrder): Promise<void> {
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
  return makePurger({ self, others, here: (order) => cache.purge(order), at, ...shared });
}
