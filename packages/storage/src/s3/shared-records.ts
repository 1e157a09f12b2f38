import { makeRecent, type Clock, type RecordKey, type RecordStore } from "@pullring/core";

import { limits } from "./limits.ts";
import { recordPath } from "../record-path.ts";

interface Aging {
  readonly checkedAt: number;
}

/**
 * Records of this node before those that all nodes share. What is not here, or has been here for some time and ages, is looked for
 * there, and kept when it is newer; what is written goes to both, here at once.
 */
export function withSharedRecords(local: RecordStore, shared: RecordStore, clock: Clock): RecordStore {
  const entriesMax = limits.absentRememberedMax;
  const compared = makeRecent<true>(clock, { ttlMs: limits.sharedLookEveryMs, entriesMax });

  async function look(key: RecordKey, mine: unknown): Promise<unknown> {
    const theirs = await shared.get(key);
    if (theirs === undefined || ageOf(theirs) < ageOf(mine)) return mine;
    if (mine !== undefined && ageOf(theirs) === ageOf(mine)) return mine;
    // It may have been written here meanwhile.
    const now = await local.get(key);
    if (now !== undefined && ageOf(now) >= ageOf(theirs)) return now;
    await local.put(key, theirs);
    return theirs;
  }

  return {
    async get(key) {
      const mine = await local.get(key);
      if (mine === undefined) return look(key, mine);
      const isOld = isAging(mine) && clock.now() - mine.checkedAt > limits.sharedLookFromMs;
      const path = recordPath(key);
      if (!isOld || compared.get(path)) return mine;
      compared.set(path, true);
      return look(key, mine);
    },
    async put(key, value) {
      await local.put(key, value);
      await shared.put(key, value);
    },
    async remove(key) {
      await local.remove(key);
      await shared.remove(key);
    },
  };
}

const isAging = (value: unknown): value is Aging =>
  typeof value === "object" && value !== null && typeof (value as Partial<Aging>).checkedAt === "number";
const ageOf = (value: unknown): number => (isAging(value) ? value.checkedAt : -Infinity);
