import {
  makeLocalBudgets,
  makeLocalPriorDigests,
  type Budgets,
  type LaneFacts,
  type PriorDigests,
} from "@pullring/core";

import { quotaOf, type QuotaView } from "./admin/index.ts";
import type { ClusterSide } from "./open-cluster.ts";
import type { Parts } from "./parts.ts";
import { QuotaWatch } from "./quota/quota-watch.ts";

/** The budgets that this node's lanes are counted by: shared with the other nodes where there is a Redis. */
export const openBudgets = ({ clock }: Parts, cluster: ClusterSide | undefined): Budgets =>
  cluster?.sharing?.budgets ?? makeLocalBudgets({ clock });

/** What may spend the reserve by its digest: known to all nodes where there is a Redis. */
export const openPriors = ({ clock }: Parts, cluster: ClusterSide | undefined): PriorDigests =>
  cluster?.sharing?.priors ?? makeLocalPriorDigests(clock);

export interface QuotaSide {
  /** For the admin API. */
  readonly view: QuotaView;
  close(): Promise<void>;
}

export interface QuotaSideOptions {
  readonly budgets: Budgets;
  readonly lanes: () => readonly LaneFacts[];
  readonly cluster: ClusterSide | undefined;
}

/** What people see of the lanes of this node. */
export function openQuota({ clock, log, metrics }: Parts, { budgets, lanes, cluster }: QuotaSideOptions): QuotaSide {
  const watch = new QuotaWatch({ budgets, lanes, clock, log });
  metrics.readLanes(() => watch.last());
  watch.start();
  const ask = (node: string): Promise<unknown> => cluster?.client.quota(node) ?? Promise.resolve([]);
  return { view: quotaOf(() => watch.now(), ask), close: () => watch.close() };
}
