import type { LeaseAnswer, Leases, NodeId } from "@pullring/core";
import type { Digest } from "@pullring/oci";

import type { VirtualClock } from "./virtual-clock.ts";

interface Row {
  readonly holder: NodeId;
  readonly token: string;
  bytes: number;
  /** What its holder was answered, and is answered again. */
  readonly answer: LeaseAnswer;
}

/** The leases of several nodes in one table. */
export interface LeaseTable {
  of(node: NodeId): Leases;
  /** Nobody gets an answer. */
  isDown: boolean;
  holder(digest: Digest): NodeId | undefined;
  /** Whatever the node holds runs out now. */
  expire(node: NodeId): void;
}

/** `isAlive`: what a dead node releases does not arrive. */
export function leaseTable(clock: VirtualClock, isAlive: (node: NodeId) => boolean): LeaseTable {
  const rows = new Map<Digest, Row>();
  const attempts = new Map<Digest, number>();
  const waiting = new Map<Digest, Set<() => void>>();
  let tokens = 0;

  function free(digest: Digest): void {
    rows.delete(digest);
    for (const wake of waiting.get(digest) ?? []) wake();
  }

  const table: LeaseTable = {
    isDown: false,
    holder: (digest) => rows.get(digest)?.holder,
    expire(node) {
      for (const [digest, { holder }] of rows) if (holder === node) free(digest);
    },
    of: (node) => ({
      acquire(digest, breaking) {
        if (table.isDown || !isAlive(node)) return Promise.resolve({ state: "unavailable" });
        const held = rows.get(digest);
        if (held?.holder === node) return Promise.resolve(held.answer);
        if (held && held.token !== breaking) {
          const { holder, token, bytes } = held;
          return Promise.resolve({ state: "held", holder, token, bytes });
        }
        const attempt = (attempts.get(digest) ?? 0) + 1;
        const isHeld = (): boolean => rows.get(digest) === row;
        const lease = {
          progress: (bytes: number) => void (row.bytes = isAlive(node) ? bytes : row.bytes),
          release() {
            if (isHeld() && isAlive(node)) free(digest);
            return Promise.resolve();
          },
          get lost() {
            return !isHeld();
          },
        };
        const answer: LeaseAnswer = { state: "acquired", lease, attempt };
        const row: Row = { holder: node, token: String((tokens += 1)), bytes: 0, answer };
        attempts.set(digest, attempt);
        rows.set(digest, row);
        return Promise.resolve(answer);
      },
      async changed(digest, withinMs, signal) {
        if (signal?.aborted) return;
        const woken = Promise.withResolvers<void>();
        const ended = new AbortController();
        const all = waiting.get(digest) ?? new Set();
        waiting.set(digest, all.add(woken.resolve));
        signal?.addEventListener("abort", () => woken.resolve(), { once: true });
        clock.sleep(withinMs, ended.signal).then(woken.resolve, () => {});
        await woken.promise;
        ended.abort();
        all.delete(woken.resolve);
      },
    }),
  };
  return table;
}
