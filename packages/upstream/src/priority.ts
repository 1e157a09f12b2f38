import { globMatcher, type PriorDigests } from "@pullring/core";
import { isDigestReference, type Digest } from "@pullring/oci";

import type { QuotaConfig } from "./config.ts";
import type { CountedOrder } from "./spending.ts";

/** Who may spend what is kept back of each budget. */
export interface Priority {
  /** How many counted requests this one must leave to others. Never rejects. */
  reserveFor(order: CountedOrder): Promise<number>;
  /** A HEAD by tag, or an index, named these digests: what is fetched by digest has the priority of what named it. Never rejects. */
  named(order: CountedOrder, digests: readonly Digest[]): Promise<void>;
}

export interface PriorityOptions {
  readonly upstream: string;
  readonly quota: Pick<QuotaConfig, "reserve" | "priority">;
  readonly priors: PriorDigests;
}

export function makePriority({ upstream, quota, priors }: PriorityOptions): Priority {
  const { reserve } = quota;
  const patterns = reserve > 0 ? quota.priority.map(globMatcher) : [];
  const keyOf = (repository: string, digest: Digest): string => `${upstream} ${repository}@${digest}`;

  async function hasPriority({ repository, reference }: CountedOrder): Promise<boolean> {
    if (patterns.length === 0) return false;
    if (isDigestReference(reference)) return priors.has(keyOf(repository, reference));
    return patterns.some((matches) => matches(`${repository}:${reference}`));
  }

  return {
    reserveFor: async (order) => ((await hasPriority(order)) ? 0 : reserve),
    async named(order, digests) {
      if (digests.length === 0 || !(await hasPriority(order))) return;
      await Promise.all(digests.map((digest) => priors.note(keyOf(order.repository, digest))));
    },
  };
}
