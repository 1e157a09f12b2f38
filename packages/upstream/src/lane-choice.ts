import { hasCode, makeRecent, PullringError, type Clock } from "@pullring/core";

import type { RequestKind } from "./config.ts";
import type { CoolDowns } from "./cool-downs.ts";
import type { AccountLane, Lanes } from "./lanes.ts";
import { limits } from "./limits.ts";
import type { Logins } from "./logins.ts";
import { coolDownKey, pauseKey } from "./sender.ts";

export interface LaneChoiceOptions {
  readonly lanes: Lanes;
  readonly coolDowns: CoolDowns;
  readonly logins: Logins;
  /** Whether the registry could not be reached by the lane's egress a moment ago. */
  readonly isDown: (lane: AccountLane) => boolean;
  readonly clock: Clock;
}

interface Wanted {
  readonly kind: RequestKind;
  readonly repository: string;
}

/** Which lane asks. */
export interface LaneChoice {
  /**
   * Asks by the lane that answered for this repository before, else by the one used least recently, and by at most one other when that one is
   * throttled, can't log in, can't get there, or does not see the repository. Rejects with what keeps a lane from answering rather than with
   * another lane's "not there": that one may see it.
   */
  over<T>(wanted: Wanted, ask: (lane: AccountLane) => Promise<T>): Promise<T>;
  /** The lanes that may ask now, the least recently used first; what keeps the others goes into `errors`. */
  ready(wanted: Wanted, errors: PullringError[]): Promise<AccountLane[]>;
  /** Whether what a lane was told is about that lane, so that another one may do better. */
  mayPassOn(error: unknown, lane: AccountLane): error is PullringError;
  /** It has answered; for the repository, if one is named, it is asked first from now on. */
  readonly used: (lane: AccountLane, repository: string | undefined) => void;
}

export function makeLaneChoice(options: LaneChoiceOptions): LaneChoice {
  const { lanes, coolDowns, logins, isDown, clock } = options;
  const order = makeLaneOrder(lanes, { isDown, clock });

  async function check({ kind }: Wanted, lane: AccountLane): Promise<void> {
    coolDowns.check(pauseKey(lane), coolDownKey(lane, kind));
    await logins.open(lane);
  }

  const mayPassOn = (error: unknown, lane: AccountLane): error is PullringError =>
    hasCode(error, "throttled", "missing") ||
    (hasCode(error, "unavailable") && (error.reason === "refused" || isDown(lane)));

  return {
    used: order.used,
    mayPassOn,
    async ready(wanted, errors) {
      const ready: AccountLane[] = [];
      for (const lane of order.of(wanted.repository)) {
        try {
          await check(wanted, lane);
          ready.push(lane);
        } catch (error) {
          if (!mayPassOn(error, lane)) throw error;
          errors.push(error);
        }
      }
      const reaching = ready.filter((lane) => !isDown(lane));
      return reaching.length > 0 ? reaching : ready;
    },
    async over(wanted, ask) {
      const errors: PullringError[] = [];
      let asked = 0;
      const candidates = order.of(wanted.repository);
      for (const [index, lane] of candidates.entries()) {
        try {
          await check(wanted, lane);
          if (asked === limits.lanesPerRequestMax) break;
          asked += 1;
          const result = await ask(lane);
          // One that only stood in for another is no better than that one.
          const isBetter = errors.every(({ code }) => code === "missing");
          order.used(lane, isBetter ? wanted.repository : undefined);
          return result;
        } catch (error) {
          if (!mayPassOn(error, lane)) throw error;
          errors.push(error);
          if (!maySeeMore(error, lane, candidates[index + 1])) break;
        }
      }
      throw pick(errors);
    },
  };
}

interface LaneOrder {
  /** Those that can't get there last, and not at all left out: perhaps nobody can. */
  readonly of: (repository: string) => readonly AccountLane[];
  readonly used: LaneChoice["used"];
}

/** By what was learnt of the lanes: who gets there, who answered for the repository, who was used least recently. */
function makeLaneOrder(lanes: Lanes, { isDown, clock }: Pick<LaneChoiceOptions, "isDown" | "clock">): LaneOrder {
  const seenBy = makeRecent<string>(clock, { ttlMs: limits.seenByMs, entriesMax: limits.memoriesMax });
  const usedAt = new Map<string, number>();
  let uses = 0;

  const rankOf = (lane: AccountLane, first: string | undefined): readonly number[] => [
    isDown(lane) ? 1 : 0,
    lane.name === first ? 0 : 1,
    usedAt.get(lane.name) ?? 0,
  ];

  return {
    of(repository) {
      const first = seenBy.get(repository);
      const ranked = lanes.forRepository(repository).map((lane) => ({ lane, rank: rankOf(lane, first) }));
      return ranked.sort((a, b) => difference(a.rank, b.rank)).map(({ lane }) => lane);
    },
    used(lane, repository) {
      usedAt.set(lane.name, (uses += 1));
      if (repository !== undefined) seenBy.set(repository, lane.name);
    },
  };
}

/** Of the first figures that differ. */
const difference = (a: readonly number[], b: readonly number[]): number =>
  a.map((value, at) => value - (b[at] ?? 0)).find((found) => found !== 0) ?? 0;

/** One without an account sees nothing that an account does not, and another egress nothing that this one does not, unless the login is refused. */
export const maySeeMore = (error: PullringError, lane: AccountLane, next: AccountLane | undefined): boolean =>
  error.code !== "missing" ||
  error.reason === "refused" ||
  (next?.account !== undefined && next.account !== lane.account);

export function pick(errors: readonly PullringError[]): PullringError {
  const telling = errors.find(({ code }) => code !== "missing") ?? errors.at(-1);
  return telling ?? new PullringError("unavailable", "no lane may ask");
}
