import { countersLimits as limits } from "../limits.ts";
import { defineScript, type Redis } from "../redis/index.ts";

/**
 * Puts a document in the place of the version that it was made from, or else gives the one that is there. What was made from an older
 * version never gets in, however late its command is run. KEYS: hash. ARGV: expected version or "", new version or "" to read only
 * what is not expected, document, lifetime in ms, most bytes.
 */
const exchangeScript = defineScript(`
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then redis.call('DEL', KEYS[1]) end
local held = redis.call('HGET', KEYS[1], 'version') or ''
if ARGV[2] == '' and ARGV[1] ~= '' and held == ARGV[1] then return { now } end
if ARGV[2] ~= '' and held == ARGV[1] then
  redis.call('HSET', KEYS[1], 'version', ARGV[2], 'document', ARGV[3])
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
  return { now }
end
if redis.call('HSTRLEN', KEYS[1], 'document') > tonumber(ARGV[5]) then return { now, held, '' } end
return { now, held, redis.call('HGET', KEYS[1], 'document') or '' }
`);

/** As it stands in Redis. */
export interface Held {
  /** "" where there is none. */
  readonly version: string;
  readonly text: string;
}

export interface Exchanged {
  /** Redis' own time, ms. */
  readonly now: number;
  /** What was there instead of the expected version; undefined: that was there, and now is the new one, if there is one. */
  readonly held: Held | undefined;
}

/** The counters of one upstream's budgets in Redis: one document, so that one step reads and changes all of them. */
export interface CountersStore {
  /** Nothing but the time when it is the expected version. */
  read(expected: string): Promise<Exchanged>;
  replace(expected: string, next: Held): Promise<Exchanged>;
}

export function redisCounters(redis: Pick<Redis, "key" | "run">, upstream: string): CountersStore {
  const key = redis.key(`{quota ${upstream.replaceAll(/[{}]/g, "")}}`);
  const exchange = async (expected: string, next: Held): Promise<Exchanged> => {
    const args = [expected, next.version, next.text, limits.keptMs, limits.documentBytesMax];
    const answer = await redis.run(exchangeScript, [key], args);
    const [now, version, text] = Array.isArray(answer) ? (answer as unknown[]).map(String) : [];
    const held = version === undefined || text === undefined ? undefined : { version, text };
    return { now: Number(now), held };
  };
  return {
    read: (expected) => exchange(expected, { version: "", text: "" }),
    replace: exchange,
  };
}
