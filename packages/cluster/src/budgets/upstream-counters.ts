import {
  aloneWith,
  BudgetMarks,
  type BudgetState,
  type BudgetTable,
  type BudgetWish,
  type Clock,
  type Debt,
  type Outcome,
  shiftTimes,
  type Told,
  type Took,
} from "@pullring/core";

import { countersLimits as limits } from "../limits.ts";
import { RedisUnavailable } from "../redis/index.ts";
import type { CountersStore, Exchanged, Held } from "./counters-store.ts";
import { Debts } from "./debts.ts";
import { type Counters, decode, encode } from "./document.ts";
import { meet, type Met } from "./meeting.ts";

export interface UpstreamCountersOptions {
  readonly store: CountersStore;
  readonly upstream: string;
  readonly node: string;
  /** Of each start of it another. */
  readonly self: string;
  readonly clock: Clock;
  /** That are there, this one included. */
  readonly nodes: () => number;
  readonly newId: () => string;
  readonly log: { warn(facts: object, message: string): void };
}

/** `counters` undefined: they are away, and the table is this node's part. */
type Work<T> = (table: BudgetTable, now: number, counters: Counters | undefined) => T;

interface Done<T> {
  readonly result: T;
  readonly isAlone: boolean;
  /** The counters may have it too. */
  readonly isUnsure: boolean;
}

interface Waiting {
  /** Where it is done more than once, the last time counts. */
  readonly run: (table: BudgetTable, now: number, counters: Counters | undefined) => void;
  readonly finish: (isUnsure: boolean) => void;
}

/**
 * The budgets of one upstream as this node shares them. What is to be done is done to a copy, which takes the place of the version it was
 * made from; when another node was faster it is done again, to that one's. So the rules are those of the table, and Redis knows none of
 * them. While Redis is away this node goes on with its part, and pays what it owes at the next meeting, before anything else.
 */
export class UpstreamCounters {
  readonly #options: UpstreamCountersOptions;
  readonly #marks = new BudgetMarks();
  readonly #debts = new Debts();
  #queue: Waiting[] = [];
  #isPumping = false;
  /** As this node last read or wrote them. */
  #seen: Counters | undefined;
  #version = "";
  #among: number;
  /** Redis' time at monotonic 0 lies between these. */
  #epoch: { readonly least: number; readonly most: number } | undefined;
  #alone: BudgetTable | undefined;

  constructor(options: UpstreamCountersOptions) {
    this.#options = options;
    this.#among = Math.max(1, options.nodes());
  }

  async take(id: string, wishes: readonly BudgetWish[]): Promise<Took> {
    const { self, clock } = this.#options;
    for (let poll = 0; ; poll += 1) {
      const mayWait = poll * limits.gatherPollMs < 2 * limits.gatherMs;
      const { result, isAlone, isUnsure } = await this.#do((table, now, counters) =>
        counters && !counters.isOpen && mayWait ? undefined : table.take({ id, node: self, wishes, now }),
      );
      if (result) {
        if (isAlone && result.key !== undefined) this.#debts.took(id, result.key, clock.monotonic());
        if (isUnsure) this.#disown(id, wishes, result.key);
        return result;
      }
      await clock.sleep(limits.gatherPollMs);
    }
  }

  settle(id: string, key: string, outcome: Outcome): void {
    const { self, clock } = this.#options;
    const owed = { id, key, outcome, answeredAt: clock.monotonic() };
    this.#debts.settled(owed);
    void this.#do((table, now) => table.settle({ id, node: self, key, outcome, now })).then(({ isAlone }) => {
      if (isAlone) this.#debts.owe(owed);
    });
  }

  tell(key: string, told: Told, askedAt: number): void {
    const generation = this.#seen?.generation;
    const asked = { seq: this.#marks.at(askedAt), at: askedAt + (this.#epoch?.least ?? 0) };
    void this.#do((table, now, counters) => {
      const isSame = !counters || counters.generation === generation;
      table.tell({ key, told, asked: isSame ? asked : { ...asked, seq: 0 }, now });
    });
  }

  async states(): Promise<BudgetState[]> {
    const { clock } = this.#options;
    return (await this.#do((table, now) => table.states(now, (at) => clock.now() + (at - now)))).result;
  }

  /** Looks what is left, and pays what is owed. */
  async beat(): Promise<void> {
    if (!this.#isPumping) await this.#pump();
  }

  /** A take whose answer was lost may have taken elsewhere. */
  #disown(id: string, wishes: readonly BudgetWish[], taken: string | undefined): void {
    const answeredAt = this.#options.clock.monotonic();
    for (const { key } of wishes) if (key !== taken) this.#debts.owe({ id, key, outcome: "unspent", answeredAt });
  }

  #do<T>(work: Work<T>): Promise<Done<T>> {
    const { promise, resolve } = Promise.withResolvers<Done<T>>();
    let done: { result: T; isAlone: boolean } | undefined;
    this.#queue.push({
      run: (table, now, counters) => void (done = { result: work(table, now, counters), isAlone: !counters }),
      finish: (isUnsure) => done && resolve({ ...done, isUnsure }),
    });
    if (!this.#isPumping) void this.#pump();
    return promise;
  }

  async #pump(): Promise<void> {
    this.#isPumping = true;
    do {
      const batch = this.#queue.splice(0, limits.batchMax);
      let isUnsure = false;
      try {
        await this.#exchange(batch);
      } catch (error) {
        isUnsure = !(error instanceof RedisUnavailable) || error.mayHaveRun;
        this.#goAlone(batch, error as Error);
      }
      for (const { finish } of batch) finish(isUnsure);
    } while (this.#queue.length > 0);
    this.#isPumping = false;
  }

  async #exchange(batch: readonly Waiting[]): Promise<void> {
    const { store, newId } = this.#options;
    // Nothing to do but to look: what is known needs not be read again.
    const expected = batch.length > 0 || this.#alone ? "" : this.#version;
    let { now, held } = await this.#timed(() => store.read(expected));
    if (!held && expected !== "") return;
    for (let tries = 0; held; tries += 1) {
      if (tries === limits.triesMax) throw new Error("other nodes were always faster");
      const met = meet(decode(held.text, now), now, this.#visitor());
      for (const { run } of batch) run(met.counters.table, now, met.counters);
      const next: Held = { version: newId(), text: encode(met.counters) };
      const { version, text } = held;
      if (next.text === text) return this.#met(met, version);
      ({ now, held } = await this.#timed(() => store.replace(version, next)));
      if (!held) return this.#met(met, next.version);
    }
    throw new Error("no answer of counters");
  }

  async #timed(ask: () => Promise<Exchanged>): Promise<Exchanged> {
    const { clock } = this.#options;
    const sentAt = clock.monotonic();
    const answer = await ask();
    if (!Number.isSafeInteger(answer.now)) throw new Error("no answer of counters");
    const wasUnknown = this.#epoch === undefined;
    this.#epoch = { least: answer.now - clock.monotonic(), most: answer.now + 1 - sentAt };
    // Until now this node had a time of its own.
    if (wasUnknown) for (const row of this.#alone?.rows.values() ?? []) shiftTimes(row, this.#epoch.least);
    return answer;
  }

  #visitor() {
    const { node, nodes, newId } = this.#options;
    const { least = 0, most = 0 } = this.#epoch ?? {};
    const debts = new Map([...this.#debts.keys()].map((key) => [key, this.#debtOf(key)]));
    const now = this.#options.clock.monotonic();
    const owed = this.#debts.owed().map(({ answeredAt, ...settled }) => ({
      ...settled,
      node: this.#options.self,
      at: answeredAt + least,
      ageMs: now - answeredAt,
    }));
    return { node, nodes: nodes(), newId, seen: this.#seen, alone: this.#alone, debts, owed, least, most };
  }

  #debtOf(key: string): Debt {
    const { self, clock } = this.#options;
    const { least = 0, most = 0 } = this.#epoch ?? {};
    const now = clock.monotonic();
    const windowSec = this.#alone?.rows.get(key)?.windowSec ?? 0;
    const unknown = this.#debts.unknown(key, now - windowSec * 1_001 - 1_000, now);
    const paid = this.#seen?.table.rows.get(key)?.spent.get(self)?.total ?? 0;
    const times = unknown.map(({ sentAt, answeredAt }) => ({ sentAt: sentAt + least, answeredAt: answeredAt + most }));
    return { node: self, total: paid + unknown.length, unknown: times };
  }

  #met({ counters, isLost }: Met, version: string): void {
    const { upstream, log, nodes, clock } = this.#options;
    if (isLost) {
      this.#marks.clear();
      log.warn({ upstream }, "the counters of budgets were lost; every node tells what it knows");
    }
    this.#seen = counters;
    this.#version = version;
    this.#alone = undefined;
    this.#among = Math.max(1, nodes());
    this.#debts.paid();
    this.#marks.mark(clock.monotonic(), counters.table.seq);
  }

  #goAlone(batch: readonly Waiting[], error: Error): void {
    const { self, clock, log, upstream } = this.#options;
    const now = clock.monotonic() + (this.#epoch?.least ?? 0);
    if (!this.#alone) {
      log.warn({ upstream, reason: error.message }, "the counters of budgets are away: this node spends its part only");
      this.#alone = aloneWith(this.#seen?.table, { node: self, among: this.#among, now });
    }
    for (const { run } of batch) run(this.#alone, now, undefined);
  }
}
