import { makeRedisBudgets, type RedisBudgets } from "@pullring/cluster";
import { type BudgetWish, makeLocalBudgets } from "@pullring/core";

import { type Random, seededRandom } from "../real/random.ts";
import { busyMs, type QuotaFault, type QuotaPlan } from "./quota-plan.ts";
import { makeQuotaRedis, type QuotaRedis } from "./quota-redis.ts";
import { QuotaUpstream } from "./quota-upstream.ts";
import { makeSimClock, type SimClock } from "./sim-clock.ts";

export interface QuotaReport {
  readonly broken: readonly string[];
  readonly trace: readonly string[];
  readonly refused: number;
  readonly allowed: number;
}

interface Node {
  readonly budgets: RedisBudgets;
  /** It was started when nobody could tell it what is left. */
  readonly isUnseen: boolean;
  isAlive: boolean;
}

interface Request {
  readonly takenAt: number;
  isOver: boolean;
}

const silent = { warn: () => {} };
/** By then every node has heard of a take that others made. */
const heardMs = 1_300;
/** A take may wait for other nodes after a wipe, and for some commands. */
const takeMsMax = 8_000;

class QuotaRun {
  readonly broken: string[] = [];
  readonly trace: string[] = [];
  /** How many requests faults may cost. */
  allowed = 0;
  readonly #plan: QuotaPlan;
  readonly #random: Random;
  readonly #clock: SimClock;
  readonly #redis: QuotaRedis;
  readonly #upstream: QuotaUpstream;
  readonly #nodes: Node[];
  readonly #cutOff = new Set<number>();
  readonly #requests: Request[] = [];
  readonly #befallen = new Set<QuotaFault>();
  readonly #wishes: readonly BudgetWish[];
  #running = 0;

  constructor(plan: QuotaPlan) {
    this.#plan = plan;
    this.#random = seededRandom(plan.seed);
    this.#clock = makeSimClock(this.#random);
    this.#redis = makeQuotaRedis(this.#clock, this.#random, plan.redisMs);
    this.#upstream = new QuotaUpstream(plan, this.#clock, this.#random);
    const { windowSec } = plan;
    this.#wishes = this.#upstream.accounts.map(({ key, limit }) => ({ key, limit, windowSec, reserve: 0 }));
    this.#nodes = Array.from({ length: plan.nodes }, (_, index) => this.#start(index));
  }

  async run(): Promise<void> {
    const { asks, heads, strangers, faults, nodes, windowSec } = this.#plan;
    // Nodes of a cluster are there before its first request.
    await this.#pass(500);
    for (const { atMs, node } of asks) this.#at(atMs, async () => void (await this.#ask(node % nodes)));
    for (const { atMs, node, budget } of heads) this.#at(atMs, () => this.#head(node % nodes, budget));
    for (const { atMs, budget, count } of strangers)
      this.#at(atMs, async () => {
        for (let used = 0; used < count; used += 1) this.#upstream.use(this.#upstream.at(budget));
        this.#note(`strangers use ${count} of ${budget % this.#plan.budgets.length}`);
      });
    for (const fault of faults) this.#at(fault.atMs, () => this.#befall(fault));
    if (!(await this.#clock.runUntil(() => this.#running === 0, 4 * busyMs))) this.broken.push("something never ends");
    this.#checkOver("while it was busy");
    await this.#checkHeard();
    // All windows that began have passed, and those that began with what was late.
    await this.#pass(2 * (windowSec * 1_001 + 1_000) + scaledFlightMs + 3_000);
    await this.#drain();
    for (const { budgets } of this.#nodes) void budgets.close();
    await this.#pass(2_000);
  }

  get refused(): number {
    return this.#upstream.refused;
  }

  #start(index: number): Node {
    const life = { isAlive: true, isUnseen: this.#befallen.size > 0 };
    return Object.assign(life, { budgets: this.#open(index, life) });
  }

  #open(index: number, life: { readonly isAlive: boolean }): RedisBudgets {
    const [clock, self] = [this.#clock, `n${index}`];
    if (this.#plan.nodes === 1) return { ...makeLocalBudgets({ clock }), close: async () => {} };
    const redis = this.#redis.link(() => life.isAlive && !this.#cutOff.has(index));
    const nodes = (): number => this.#plan.nodes;
    return makeRedisBudgets({ redis, self, clock, nodes, log: silent, upstreams: ["docker.io"] });
  }

  #at(ms: number, work: () => Promise<void>): void {
    this.#running += 1;
    void this.#clock
      .sleep(ms)
      .then(work)
      .catch((error: Error) => this.broken.push(error.stack ?? error.message))
      .finally(() => (this.#running -= 1));
  }

  #pass = (ms: number): Promise<unknown> => this.#clock.runUntil(() => false, ms);

  #note(line: string): void {
    this.trace.push(`${(this.#clock.monotonic() / 1_000).toFixed(3).padStart(8)}  ${line}`);
  }

  #nodeAt(index: number): Node {
    const node = this.#nodes[index % this.#nodes.length];
    if (!node) throw new Error("no node");
    return node;
  }

  /** Whether it was allowed. */
  async #ask(index: number): Promise<string | undefined> {
    const node = this.#nodeAt(index);
    const startedAt = this.#clock.monotonic();
    const taking = await node.budgets.take(this.#wishes);
    const tookMs = this.#clock.monotonic() - startedAt;
    if (tookMs > takeMsMax) this.broken.push(`a take took ${tookMs} ms`);
    if (!node.isAlive) return undefined;
    if (taking.state === "empty") {
      this.#note(`n${index} gets none for ${taking.retryAfterSec} s`);
      return undefined;
    }
    const { take } = taking;
    if (this.#isCutOff(index, node)) this.allowed += 1;
    const request = { takenAt: this.#clock.monotonic(), isOver: false };
    this.#requests.push(request);
    const outcome = await this.#upstream.get(take.key);
    request.isOver = true;
    this.#note(`n${index} ${take.key}: ${JSON.stringify(outcome)}`);
    if (node.isAlive) take.settle(outcome);
    return take.key;
  }

  /** While others share the counters this one spends what it was left with; or it was left with nothing but upstream's word. */
  #isCutOff(index: number, { isUnseen }: Node): boolean {
    return [...this.#befallen].some(
      ({ kind, node }) =>
        isUnseen || kind === "redis_lossy" || (kind === "cut_off" && node % this.#plan.nodes === index),
    );
  }

  async #head(index: number, budget: number): Promise<void> {
    const node = this.#nodeAt(index);
    const askedAt = this.#clock.monotonic();
    const told = await this.#upstream.head(budget);
    if (told && node.isAlive) node.budgets.tell(this.#upstream.at(budget).key, told, askedAt);
  }

  async #befall(fault: QuotaFault): Promise<void> {
    const { kind, forMs } = fault;
    const index = fault.node % this.#plan.nodes;
    // What is in flight, or was so lately that another node need not have heard of it.
    const since = this.#clock.monotonic() - heardMs;
    const unheard = this.#requests.filter(({ takenAt, isOver }) => !isOver || takenAt > since).length;
    this.allowed += unheard;
    this.#note(`${kind} n${index} for ${forMs} ms, ${unheard} in flight`);
    const [redis, cutOff] = [this.#redis, this.#cutOff];
    if (kind === "redis_wiped") redis.wipe();
    if (kind === "redis_set_back") redis.setBack();
    // A node without Redis knows nothing of its budgets after its end.
    if (kind === "kill" && this.#plan.nodes > 1) this.#kill(index);
    this.#befallen.add(fault);
    if (kind === "redis_down") redis.isDown = true;
    if (kind === "redis_frozen") redis.isFrozen = true;
    if (kind === "redis_lossy") redis.isLossy = true;
    if (kind === "cut_off") cutOff.add(index);
    await this.#clock.sleep(forMs);
    this.#befallen.delete(fault);
    if (kind === "redis_down") redis.isDown = false;
    if (kind === "redis_frozen") redis.isFrozen = false;
    if (kind === "redis_lossy") redis.isLossy = false;
    if (kind === "cut_off") cutOff.delete(index);
  }

  #kill(index: number): void {
    const node = this.#nodeAt(index);
    node.isAlive = false;
    void node.budgets.close();
    this.#nodes[index] = this.#start(index);
  }

  #checkOver(when: string): void {
    if (this.#plan.strangers.length > 0) return;
    if (this.refused > this.allowed) this.broken.push(`${this.refused} too many ${when}, ${this.allowed} allowed`);
  }

  /** When nothing is in flight and upstream has told, every node knows what is left. */
  async #checkHeard(): Promise<void> {
    await this.#pass(scaledFlightMs + 3_000);
    const toldOf = new Map<string, number>();
    for (const [budget, account] of this.#upstream.accounts.entries()) {
      toldOf.set(account.key, this.#upstream.remaining(account));
      await this.#finish(this.#head(budget % this.#plan.nodes, budget));
      await this.#pass(500);
    }
    for (const [node, { budgets }] of this.#nodes.entries()) {
      const states = await this.#finish(budgets.all());
      for (const account of this.#upstream.accounts.filter(({ hasHeaders }) => hasHeaders)) {
        const state = states.find(({ key }) => key === account.key);
        const [left = -1, told = 0, most] = [
          state?.remaining,
          toldOf.get(account.key),
          this.#upstream.remaining(account),
        ];
        // What was in flight long ago, as an old copy has it, counts as lost only now.
        const isOld = this.#plan.faults.some(({ kind }) => kind === "redis_set_back");
        if (state && ((left < told && !isOld) || left > most))
          this.broken.push(`n${node} knows of ${left} left of ${account.key}: there are ${most}`);
      }
    }
  }

  /** A new window is used up to its end, evenly, whichever node is asked, and no request is one too many. */
  async #drain(): Promise<void> {
    const refusedBefore = this.refused;
    const { accounts } = this.#upstream;
    const least = Math.min(...accounts.map(({ limit }) => limit));
    this.#upstream.isCalm = true;
    this.#redis.isCalm = true;
    this.#note("all windows have passed");
    for (let gotNone = 0; gotNone < this.#plan.nodes; await this.#pass(5)) {
      const key = await this.#finish(this.#ask((gotNone + this.#random.below(8)) % this.#plan.nodes));
      if (key === undefined) gotNone += 1;
      const shares = accounts.map((account) => this.#upstream.remaining(account) / account.limit);
      if (Math.max(...shares) - Math.min(...shares) > 1 / least + 1e-9) this.broken.push(`uneven: ${shares.join(" ")}`);
      if (this.broken.length > 5) return;
    }
    for (const account of accounts)
      if (this.#upstream.remaining(account) > 0)
        this.broken.push(`${this.#upstream.remaining(account)} were left of ${account.key}`);
    if (this.refused > refusedBefore)
      this.broken.push(`${this.refused - refusedBefore} too many after all had settled`);
  }

  async #finish<T>(work: Promise<T>): Promise<T> {
    let isDone = false;
    void work.finally(() => (isDone = true)).catch(() => {});
    if (!(await this.#clock.runUntil(() => isDone, busyMs))) throw new Error("something never ends");
    return work;
  }
}

/** `flightMs` of these runs. */
export const scaledFlightMs = 8_000;

export async function simulateQuota(plan: QuotaPlan): Promise<QuotaReport> {
  const run = new QuotaRun(plan);
  await run.run().catch((error: Error) => run.broken.push(error.stack ?? error.message));
  const { broken, trace, refused, allowed } = run;
  return { broken, trace, refused, allowed };
}
