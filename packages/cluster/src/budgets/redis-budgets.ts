import { randomUUID } from "node:crypto";

import type { BudgetKey, Budgets, BudgetWish, Clock, NodeId, Taking } from "@pullring/core";

import { countersLimits as limits } from "../limits.ts";
import type { Redis } from "../redis/index.ts";
import { redisCounters } from "./counters-store.ts";
import { UpstreamCounters } from "./upstream-counters.ts";

export interface RedisBudgetsOptions {
  readonly redis: Pick<Redis, "key" | "run">;
  readonly self: NodeId;
  readonly clock: Clock;
  /** That are there, this one included. */
  readonly nodes: () => number;
  readonly log: { warn(facts: object, message: string): void };
  /** First words of budget keys: those that are known before the first request has to wait for the other nodes. */
  readonly upstreams?: readonly string[];
}

export interface RedisBudgets extends Budgets {
  /** No more beats. What is in flight can be settled yet. */
  close(): Promise<void>;
}

/** All budgets of one upstream are counted in one place. */
const upstreamOf = (key: BudgetKey): string => key.split(" ", 1)[0]?.slice(0, limits.upstreamLengthMax) ?? "";

function grouped(wishes: readonly BudgetWish[]): Map<string, BudgetWish[]> {
  const groups = new Map<string, BudgetWish[]>();
  for (const wish of wishes) {
    const upstream = upstreamOf(wish.key);
    groups.set(upstream, [...(groups.get(upstream) ?? []), wish]);
  }
  return groups;
}

/** Budgets that all nodes share through Redis. */
export function makeRedisBudgets(options: RedisBudgetsOptions): RedisBudgets {
  const { redis, self: node, clock, nodes, log, upstreams = [] } = options;
  const self = `${node}/${randomUUID().slice(0, 8)}`;
  const closing = new AbortController();
  const counters = new Map<string, UpstreamCounters>();
  const beats: Promise<void>[] = [];
  let ids = 0;
  const newId = (): string => `${self}/${(ids += 1)}`;

  function countersOf(upstream: string): UpstreamCounters {
    const known = counters.get(upstream);
    if (known) return known;
    const store = redisCounters(redis, upstream);
    const made = new UpstreamCounters({ store, upstream, node, self, clock, nodes, log, newId });
    counters.set(upstream, made);
    beats.push(beat(made));
    return made;
  }

  async function beat(made: UpstreamCounters): Promise<void> {
    const { signal } = closing;
    while (!signal.aborted) {
      await made.beat();
      // Aborted: closed, and the loop ends.
      await clock.sleep(limits.beatMs, signal).catch(() => {});
    }
  }

  async function take(wishes: readonly BudgetWish[]): Promise<Taking> {
    let retryAfterSec = Infinity;
    for (const [upstream, group] of grouped(wishes)) {
      const id = newId();
      const took = await countersOf(upstream).take(id, group);
      if (took.key !== undefined) return { state: "taken", take: takeOf(upstream, id, took.key) };
      retryAfterSec = Math.min(retryAfterSec, took.retryAfterSec);
    }
    return { state: "empty", retryAfterSec: Number.isFinite(retryAfterSec) ? retryAfterSec : 1 };
  }

  function takeOf(upstream: string, id: string, key: BudgetKey): Extract<Taking, { state: "taken" }>["take"] {
    let isSettled = false;
    return {
      key,
      settle(outcome) {
        if (isSettled) return;
        isSettled = true;
        countersOf(upstream).settle(id, key, outcome);
      },
    };
  }

  for (const upstream of upstreams) countersOf(upstream);
  return {
    take,
    tell: (key, told, askedAt) => countersOf(upstreamOf(key)).tell(key, told, askedAt),
    async all() {
      return (await Promise.all([...counters.values()].map((each) => each.states()))).flat();
    },
    async close() {
      closing.abort();
      await Promise.all(beats);
    },
  };
}
