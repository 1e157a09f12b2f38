import { PullringError, type LaneFacts, type Take, type Told } from "@pullring/core";

import { maySeeMore, pick, type LaneChoice } from "./lane-choice.ts";
import type { AccountLane, Lanes } from "./lanes.ts";
import { limits } from "./limits.ts";
import type { Payers } from "./payers.ts";
import { makePurse, type Purse } from "./purse.ts";
import type { CountedOrder, Spending, Taken } from "./spending.ts";

export interface CountedWays {
  /** Sends it on that lane, each GET out of the purse. */
  readonly send: (lane: AccountLane, purse: Purse) => Promise<void>;
  /** Lets another node send it on a lane of its own. */
  readonly elsewhere: (lane: LaneFacts) => Promise<Told | "spent">;
  /** Asks something free by that lane, so that upstream tells what it has left. */
  readonly sound: (lane: AccountLane) => Promise<unknown>;
}

export interface CountedOptions {
  readonly choice: LaneChoice;
  readonly lanes: Lanes;
  readonly spending: Spending;
  readonly payers: Payers;
  /** Lanes of other nodes at this upstream. */
  readonly others: () => readonly LaneFacts[];
}

/** Which lane a counted request goes by: the one that has most left, here or on another node, and at most one other. */
export class Counted {
  readonly #options: CountedOptions;
  readonly #sounding = new Map<string, Promise<unknown>>();

  constructor(options: CountedOptions) {
    this.#options = options;
  }

  /** Rejects with what kept the lanes from it, as `LaneChoice` does. */
  async send(order: CountedOrder, ways: CountedWays): Promise<void> {
    const run: Run = { order, ways, errors: [], tried: new Set(), sent: 0 };
    while (run.sent < limits.lanesPerRequestMax) {
      const taken = await this.#take(run);
      if (!taken || (await this.#isSent(run, taken))) break;
    }
    if (!run.isDone) throw pick(run.errors);
  }

  /** undefined = nobody may, or nothing is left. */
  async #take(run: Run): Promise<Taken | undefined> {
    const { others } = this.#options;
    const { order, ways, errors, tried } = run;
    let own = await this.#ready(run);
    const foreign = others().filter((lane) => this.#mayAsk(order, lane) && !tried.has(lane.name));
    // What comes of it may bench some of them.
    if (await this.#soundAll(own, ways)) own = await this.#ready(run);
    if (own.length + foreign.length === 0) return undefined;
    try {
      return await this.#takeOf(order, own, foreign);
    } catch (error) {
      if (!(error instanceof PullringError)) throw error;
      errors.push(error);
      return undefined;
    }
  }

  async #ready({ order, errors, tried }: Run): Promise<readonly AccountLane[]> {
    const wanted = { kind: "manifest_get", repository: order.repository } as const;
    const ready = await this.#options.choice.ready(wanted, errors);
    return ready.filter(({ name }) => !tried.has(name));
  }

  /** Other nodes' lanes of which upstream has not told yet come last: their budgets may be known by another name there. */
  async #takeOf(order: CountedOrder, own: readonly AccountLane[], foreign: readonly LaneFacts[]): Promise<Taken> {
    const { spending } = this.#options;
    const heard = foreign.filter(({ source, unmetered }) => source !== undefined || unmetered);
    if (own.length + heard.length === 0) return spending.take(order, own, foreign);
    return spending.take(order, own, heard).catch((error: unknown) => {
      if (heard.length === foreign.length) throw error;
      return spending.take(order, own, foreign);
    });
  }

  /** Whether there is nothing more to try. */
  async #isSent(run: Run, { take, lanes: [lane], others: [other] }: Taken): Promise<boolean> {
    const { choice } = this.#options;
    try {
      if (lane) await this.#byOwn(run, lane, take);
      else if (other) await byOther(run, other, take);
      else take.settle("unspent");
      run.isDone = lane !== undefined || other !== undefined;
      return true;
    } catch (error) {
      if (!(error instanceof PullringError) || (lane && !choice.mayPassOn(error, lane))) throw error;
      run.errors.push(error);
      run.tried.add(lane?.name ?? other?.name ?? "");
      if (!lane) return false;
      const next = this.#options.lanes.forRepository(run.order.repository).find(({ name }) => !run.tried.has(name));
      return !maySeeMore(error, lane, next);
    }
  }

  async #byOwn(run: Run, lane: AccountLane, first: Take): Promise<void> {
    const { spending, choice } = this.#options;
    const { order, ways } = run;
    const purse = makePurse({ spending, order, lane, first });
    run.sent += 1;
    try {
      await ways.send(lane, purse);
      choice.used(lane, order.repository);
    } finally {
      purse.close();
    }
  }

  /**
   * Nobody knows what a lane has left that was never asked: HEAD is free, and tells. Once for all who wait, whatever comes of it. Resolves to
   * whether there were any.
   */
  async #soundAll(own: readonly AccountLane[], ways: CountedWays): Promise<boolean> {
    const unheard = own.filter((lane) => !this.#options.payers.of(lane).isHeard);
    await Promise.all(
      unheard.map((lane) => {
        const running = this.#sounding.get(lane.name) ?? ways.sound(lane).catch(() => {});
        this.#sounding.set(lane.name, running);
        return running;
      }),
    );
    return unheard.length > 0;
  }

  #mayAsk(order: CountedOrder, { account, benched, budget }: LaneFacts): boolean {
    return benched === undefined && budget !== undefined && this.#options.lanes.mayAsk(order.repository, account);
  }
}

/** One request on its way. */
interface Run {
  readonly order: CountedOrder;
  readonly ways: CountedWays;
  readonly errors: PullringError[];
  /** Names of lanes. */
  readonly tried: Set<string>;
  sent: number;
  isDone?: boolean;
}

async function byOther(run: Run, lane: LaneFacts, take: Take): Promise<void> {
  run.sent += 1;
  try {
    take.settle(await run.ways.elsewhere(lane));
  } catch (error) {
    const told = error instanceof PullringError ? error : undefined;
    if (told?.code === "throttled") take.settle({ exhaustedForSec: told.retryAfterSec });
    else take.settle(told?.code === "unreachable" ? "unspent" : "spent");
    throw error;
  }
}
