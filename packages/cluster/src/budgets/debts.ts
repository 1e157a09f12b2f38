import type { Debt, Outcome } from "@pullring/core";

import { countersLimits as limits } from "../limits.ts";

/** What was settled while the counters were away. Times are monotonic ms. */
export interface Owed {
  readonly id: string;
  readonly key: string;
  readonly outcome: Outcome;
  readonly answeredAt: number;
}

interface Taken {
  readonly key: string;
  readonly sentAt: number;
  answeredAt: number | undefined;
}

/** What this node did without the shared counters, until they know of it. */
export class Debts {
  readonly #taken = new Map<string, Taken>();
  #owed: Owed[] = [];

  /** Budgets of which something was taken. */
  keys(): Set<string> {
    return new Set([...this.#taken.values()].map(({ key }) => key));
  }

  took(id: string, key: string, sentAt: number): void {
    this.#taken.set(id, { key, sentAt, answeredAt: undefined });
  }

  settled({ id, outcome, answeredAt }: Owed): void {
    const taken = this.#taken.get(id);
    if (!taken) return;
    if (outcome === "unspent" || (typeof outcome === "object" && "exhaustedForSec" in outcome)) this.#taken.delete(id);
    else taken.answeredAt = answeredAt;
  }

  owe(owed: Owed): void {
    this.#owed.push(owed);
    if (this.#owed.length > limits.owedMax) this.#owed.shift();
  }

  owed(): readonly Owed[] {
    return this.#owed;
  }

  /** Of one budget, those since a time. */
  unknown(key: string, since: number, now: number): Debt["unknown"] {
    const all = [...this.#taken.values()].filter((taken) => taken.key === key && taken.sentAt > since);
    return all.map(({ sentAt, answeredAt }) => ({ sentAt, answeredAt: answeredAt ?? now }));
  }

  paid(): void {
    this.#taken.clear();
    this.#owed = [];
  }
}
