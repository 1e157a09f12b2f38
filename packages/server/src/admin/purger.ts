import type { NodeId, PurgeOrder } from "@pullring/core";

import type { Purger } from "./ports.ts";

export interface PurgerOptions {
  readonly self: NodeId;
  /** Every other member there is. */
  readonly others: () => readonly NodeId[];
  readonly here: (order: PurgeOrder) => Promise<void>;
  /** Rejects for a member that can't be reached in time. */
  readonly at: (node: NodeId, order: PurgeOrder) => Promise<void>;
  /** Absent = there is no shared storage. */
  readonly shared?: (order: PurgeOrder) => Promise<void>;
}

/** This node first, so that it fetches nothing back from the others meanwhile; then shared storage, which they would fetch from. */
export function makePurger({ self, others, here, at, shared }: PurgerOptions): Purger {
  return {
    async purge(order) {
      await here(order);
      const inShared = shared === undefined ? "none" : await told(shared(order), "purged", "failed");
      const nodes = await Promise.all(others().map(async (id) => ({ id, ok: await told(at(id, order), true, false) })));
      return {
        reached: [self, ...nodes.filter(({ ok }) => ok).map(({ id }) => id)],
        missing: nodes.filter(({ ok }) => !ok).map(({ id }) => id),
        shared: inShared,
      };
    },
  };
}

const told = <const T, const U>(work: Promise<void>, done: T, failed: U): Promise<T | U> =>
  work.then(
    () => done,
    () => failed,
  );
