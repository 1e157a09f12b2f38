import type { BudgetKey, Budgets, BudgetState, Clock, LaneFacts } from "@pullring/core";

import { BudgetLevels } from "./budget-levels.ts";
import { quotaLimits as limits } from "./limits.ts";
import { SpendHistory, type Forecast } from "./spend-history.ts";

type LogLine = (facts: Readonly<Record<string, unknown>>, message: string) => void;

export interface QuotaWatchOptions {
  readonly budgets: Pick<Budgets, "all">;
  /** This node's own. */
  readonly lanes: () => readonly LaneFacts[];
  readonly clock: Clock;
  readonly log: { readonly info: LogLine; readonly warn: LogLine };
}

/** A lane and what its budget has left. */
export interface LaneState {
  readonly lane: LaneFacts;
  /** undefined: it has no budget, or none that anything is known of. */
  readonly budget: BudgetState | undefined;
  readonly forecast: Forecast | undefined;
}

interface Watched {
  readonly history: SpendHistory;
  readonly levels: BudgetLevels;
}

const keyOf = ({ upstream, name }: LaneFacts): string => `${upstream} ${name}`;

/** Looks at the budgets of this node's lanes every ten seconds: for the metrics, the forecast, and a line when one runs low. */
export class QuotaWatch {
  readonly #options: QuotaWatchOptions;
  readonly #watched = new Map<BudgetKey, Watched>();
  readonly #closing = new AbortController();
  #last: readonly LaneState[] = [];
  #running: Promise<void> | undefined;

  constructor(options: QuotaWatchOptions) {
    this.#options = options;
  }

  /** As they are now. */
  async now(): Promise<readonly LaneState[]> {
    const { budgets, clock, lanes } = this.#options;
    const states = new Map((await budgets.all()).map((state) => [state.key, state]));
    return lanes().map((lane) => {
      const budget = lane.budget === undefined ? undefined : states.get(lane.budget);
      return { lane, budget, forecast: budget && this.#watched.get(budget.key)?.history.forecast(budget, clock.now()) };
    });
  }

  /** As they were some seconds ago, but for who is benched: that may be over after a second, and nobody would see it. */
  last(): readonly LaneState[] {
    const lanes = new Map(this.#options.lanes().map((lane) => [keyOf(lane), lane]));
    return this.#last.map((state) => ({ ...state, lane: lanes.get(keyOf(state.lane)) ?? state.lane }));
  }

  start(): void {
    this.#running ??= this.#run();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#closing;
    while (!signal.aborted) {
      await this.#look();
      await clock.sleep(limits.sampleMs, signal).catch(() => {});
    }
  }

  async #look(): Promise<void> {
    const { clock } = this.#options;
    const states = (this.#last = await this.now());
    const budgets = new Map(states.flatMap(({ budget }) => (budget ? [[budget.key, budget] as const] : [])));
    for (const key of this.#watched.keys()) if (!budgets.has(key)) this.#watched.delete(key);
    for (const budget of budgets.values()) {
      const watched = this.#of(budget.key);
      watched?.history.add(budget, clock.monotonic());
      if (watched) this.#tell(watched, budget);
    }
  }

  #of(key: BudgetKey): Watched | undefined {
    const known = this.#watched.get(key);
    if (known || this.#watched.size >= limits.budgetsMax) return known;
    const watched = { history: new SpendHistory(), levels: new BudgetLevels() };
    this.#watched.set(key, watched);
    return watched;
  }

  #tell({ history, levels }: Watched, budget: BudgetState): void {
    const { clock, log } = this.#options;
    const { key, remaining, limit, resetAt } = budget;
    if (remaining === undefined || limit === undefined || limit <= 0) return;
    const level = levels.fell(remaining / limit);
    if (level === undefined) return;
    const now = clock.now();
    const emptyAt = history.forecast(budget, now)?.emptyAt;
    const facts = {
      budget: key,
      remaining,
      limit,
      ...(emptyAt !== undefined && { emptyInSec: Math.round((emptyAt - now) / 1000) }),
      ...(resetAt !== undefined && { resetInSec: Math.round((resetAt - now) / 1000) }),
    };
    const line = level === limits.levels.at(-1) ? log.warn : log.info;
    line(facts, `at most ${Math.round(level * 100)} % of a budget is left`);
  }
}
