import type { Clock } from "@pullring/core";

import { purgeLimits as limits } from "../limits.ts";
import { defineScript, type Redis } from "../redis/index.ts";

/** Word of what was purged, left for the nodes that were not reached, for seven days. */
export interface RedisPurges {
  /** Rejects with RedisUnavailable when the word can't be left. */
  put(key: string, atMs: number): Promise<void>;
  /** Reads now, at every hint and once a minute, until closed. */
  follow(): void;
  close(): Promise<void>;
}

export interface RedisPurgesOptions {
  readonly redis: Pick<Redis, "key" | "run" | "subscribe">;
  readonly clock: Clock;
  /** Called for all that is there at each reading: whoever is told knows what it has done already. `atMs` is by this node's clock. */
  readonly onPurge: (key: string, atMs: number) => void;
}

/** Times are told as ages, by Redis' own clock. KEYS: purges. ARGV: key, age, retention and most rows, channel. */
const putScript = defineScript(`
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], 'GT', string.format('%.0f', now - tonumber(ARGV[2])), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - tonumber(ARGV[3])))
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -tonumber(ARGV[4]) - 1)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.pcall('PUBLISH', ARGV[5], '')
return 1
`);

/** KEYS: purges. ARGV: retention, most rows. Answers with key and age in turn. */
const readScript = defineScript(`
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local since = string.format('%.0f', now - tonumber(ARGV[1]))
local rows = redis.call('ZREVRANGEBYSCORE', KEYS[1], '+inf', since, 'WITHSCORES', 'LIMIT', 0, ARGV[2])
for index = 2, #rows, 2 do
  rows[index] = string.format('%.0f', now - tonumber(rows[index]))
end
return rows
`);

export function makeRedisPurges({ redis, clock, onPurge }: RedisPurgesOptions): RedisPurges {
  const key = redis.key("{purges}:log");
  const channel = redis.key("{purges}:hints");
  const closing = new AbortController();
  let hinted = Promise.withResolvers<void>();
  let following: Promise<void> | undefined;

  async function read(): Promise<void> {
    const rows = await redis.run(readScript, [key], [limits.retentionMs, limits.rowsMax]);
    if (!Array.isArray(rows)) return;
    for (let index = 0; index + 1 < rows.length; index += 2) {
      const [purged, ageMs] = [rows[index] as unknown, Number(rows[index + 1])];
      // Whoever can write there could else forbid for days what is fetched from now on.
      const isPast = Number.isFinite(ageMs) && ageMs >= -limits.aheadMsMax;
      if (typeof purged === "string" && isPast) onPurge(purged, clock.now() - Math.max(0, ageMs));
    }
  }

  async function run(): Promise<void> {
    const { signal } = closing;
    const end = redis.subscribe(channel, () => hinted.resolve());
    for (;;) {
      hinted = Promise.withResolvers();
      // Not there: the next reading finds what this one did not.
      const isRead = await read().then(
        () => true,
        () => false,
      );
      const waiting = new AbortController();
      const slept = clock.sleep(
        isRead ? limits.readEveryMs : limits.retryMs,
        AbortSignal.any([signal, waiting.signal]),
      );
      await Promise.race([hinted.promise, slept.catch(() => {})]);
      waiting.abort();
      if (signal.aborted) return end();
    }
  }

  return {
    async put(purged, atMs) {
      const ageMs = Math.max(0, Math.round(clock.now() - atMs));
      await redis.run(putScript, [key], [purged, ageMs, limits.retentionMs, limits.rowsMax, channel]);
    },
    follow: () => void (following ??= run()),
    async close() {
      closing.abort();
      await following;
    },
  };
}
