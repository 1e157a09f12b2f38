import type { Redis } from "@pullring/cluster";

import { RedisUnavailable } from "../../packages/cluster/src/redis/unavailable.ts";
import type { Random } from "../real/random.ts";
import type { SimClock } from "./sim-clock.ts";

type Link = Pick<Redis, "key" | "run">;

interface Kept {
  readonly version: string;
  readonly document: string;
}

/** The one script of the counters, without a Redis; all nodes reach the same. */
export interface QuotaRedis {
  /** `isUp` false: its node can't reach it, or is gone. */
  link(isUp: () => boolean): Link;
  isDown: boolean;
  /** Answers at once. */
  isCalm: boolean;
  /** Takes commands and runs them when it is over. */
  isFrozen: boolean;
  /** Loses every second answer. */
  isLossy: boolean;
  wipe(): void;
  /** To what it was at the last such call, as a replica that was promoted. */
  setBack(): void;
}

const commandMs = 250;
/** Nobody's clock tells the same. */
const epochMs = 1_700_000_000_000;

export function makeQuotaRedis(clock: SimClock, random: Random, hopMs: number): QuotaRedis {
  const kept = new Map<string, Kept>();
  let copy = new Map<string, Kept>();
  const hop = (): Promise<void> => clock.sleep(redis.isCalm ? 1 : random.below(hopMs) + 1);

  function exchange(
    [key = ""]: readonly string[],
    [expected, version = "", document = ""]: readonly string[],
  ): unknown {
    const now = String(epochMs + Math.floor(clock.monotonic()));
    const held = kept.get(key);
    if (version === "" && expected !== "" && held?.version === expected) return [now];
    if (version === "" || (held?.version ?? "") !== expected) return [now, held?.version ?? "", held?.document ?? ""];
    if (random.next() < 0.1) copy = new Map(kept);
    kept.set(key, { version, document });
    return [now];
  }

  async function lost(sentAt: number, mayHaveRun: boolean): Promise<never> {
    await clock.sleep(sentAt + commandMs - clock.monotonic());
    throw new RedisUnavailable("no answer", { mayHaveRun });
  }

  async function run(keys: readonly string[], args: readonly string[], isUp: () => boolean): Promise<unknown> {
    const sentAt = clock.monotonic();
    if (redis.isDown || !isUp()) throw new RedisUnavailable("not there");
    await hop();
    if (redis.isDown) return lost(sentAt, true);
    if (redis.isFrozen) {
      void thawed().then(() => exchange(keys, args));
      return lost(sentAt, true);
    }
    const answer = exchange(keys, args);
    if (redis.isLossy && random.next() < 0.5) return lost(sentAt, true);
    await hop();
    if (redis.isDown || !isUp()) throw new RedisUnavailable("gone", { mayHaveRun: true });
    return answer;
  }

  async function thawed(): Promise<void> {
    while (redis.isFrozen) await clock.sleep(50);
  }

  const redis: QuotaRedis = {
    isDown: false,
    isCalm: false,
    isFrozen: false,
    isLossy: false,
    wipe: () => kept.clear(),
    setBack() {
      kept.clear();
      for (const [key, value] of copy) kept.set(key, value);
    },
    link: (isUp) => ({
      key: (suffix) => suffix,
      run: (_script, keys, args) => run(keys, args.map(String), isUp),
    }),
  };
  return redis;
}
