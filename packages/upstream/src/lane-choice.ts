import { hasCode, makeRecent, PullringError, type Clock } from "@pullring/core";

import type { RequestKind } from "./config.ts";
import type { CoolDowns } from "./cool-downs.ts";
import type { AccountLane, Lanes } from "./lanes.ts";
import { limits } from "./limits.ts";
import type { Logins } from "./logins.ts";
import { coolDownKey } from "./sender.ts";

export interface LaneChoiceOptions {
  readonly lanes: Lanes;
  readonly coolDowns: CoolDowns;
  readonly logins: Logins;
  readonly clock: Clock;
}

interface Wanted {
  readonly kind: RequestKind;
  readonly repository: string;
}

export type OverLanes = <T>(wanted: Wanted, ask: (lane: AccountLane) => Promise<T>) => Promise<T>;

/**
 * Asks by the first lane that may, and by at most one other when that one is throttled, can't log in, or does not see the repository.
 * Rejects with what keeps a lane from answering rather than with another lane's "not there": that one may see it.
 */
export function makeLaneChoice({ lanes, coolDowns, logins, clock }: LaneChoiceOptions): OverLanes {
  const seenBy = makeRecent<string>(clock, { ttlMs: limits.seenByMs, entriesMax: limits.memoriesMax });

  function ordered(repository: string): AccountLane[] {
    const first = seenBy.get(repository);
    const candidates = lanes.forRepository(repository);
    return [...candidates.filter(({ name }) => name === first), ...candidates.filter(({ name }) => name !== first)];
  }

  return async (wanted, ask) => {
    const errors: PullringError[] = [];
    let used = 0;
    const candidates = ordered(wanted.repository);
    for (const [index, lane] of candidates.entries()) {
      try {
        coolDowns.check(coolDownKey(lane, wanted.kind));
        await logins.open(lane);
        if (used === limits.lanesPerRequestMax) break;
        used += 1;
        const result = await ask(lane);
        if (errors.some((error) => error.code === "missing")) seenBy.set(wanted.repository, lane.name);
        return result;
      } catch (error) {
        if (!isFinding(error)) throw error;
        errors.push(error);
        if (!mayPassOn(error, candidates[index + 1])) break;
      }
    }
    throw pick(errors);
  };
}

/** What an error says about its lane, and not about the upstream. */
const isFinding = (error: unknown): error is PullringError =>
  hasCode(error, "throttled", "missing") || (hasCode(error, "unavailable") && error.reason === "refused");

/** One without an account sees nothing that an account does not, unless the account is refused. */
const mayPassOn = (error: PullringError, next: AccountLane | undefined): boolean =>
  error.code !== "missing" || error.reason === "refused" || next?.account !== undefined;

function pick(errors: readonly PullringError[]): PullringError {
  const telling = errors.find(({ code }) => code !== "missing") ?? errors.at(-1);
  return telling ?? new PullringError("unavailable", "no lane may ask");
}
