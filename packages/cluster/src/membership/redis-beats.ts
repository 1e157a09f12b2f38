import { membershipLimits as limits } from "../limits.ts";
import type { Redis } from "../redis/redis.ts";
import { defineScript } from "../redis/script.ts";
import type { BeatOrder, BeatStore } from "./beat-store.ts";

/**
 * All in one step by Redis' own clock, so that no node's clock matters. A beat is not written over the live one of another
 * incarnation. Times in the future, from before that clock was set back, count as now. Of who is there the newest rows are told. Who says
 * goodbye stays for a while as one that leaves and has expired: a row that only went would look to some like one that was lost.
 */
const script = defineScript(`
local beats, docs, birth = KEYS[1], KEYS[2], KEYS[3]
local mode, id, incarnation, document = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local generation, news, channel = ARGV[5], ARGV[6], ARGV[7]
local expiry, retention, forget, limit = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local stamp = string.format('%.0f', now)

local function drop(ids)
  for _, gone in ipairs(ids) do
    redis.call('ZREM', beats, gone)
    redis.call('HDEL', docs, gone)
  end
end

local before = redis.call('GET', birth)
if not before then redis.call('SET', birth, generation) end

for _, early in ipairs(redis.call('ZRANGEBYSCORE', beats, '(' .. stamp, '+inf', 'LIMIT', 0, limit)) do
  redis.call('ZADD', beats, stamp, early)
end
local late = string.format('%.0f', now - retention)
drop(redis.call('ZRANGEBYSCORE', beats, '-inf', late, 'LIMIT', 0, limit))

local held = redis.call('HGET', docs, id)
local score = redis.call('ZSCORE', beats, id)
local mine = held and string.sub(held, 1, #incarnation + 1) == incarnation .. ' '
local alive = held and score and now - tonumber(score) < expiry
local changed = false
if mode == 'leave' then
  if mine then
    redis.call('ZADD', beats, string.format('%.0f', now - expiry), id)
    redis.call('HSET', docs, id, document)
    changed = true
  end
  mine = false
elseif mine or mode == 'claim' or not alive then
  redis.call('ZADD', beats, stamp, id)
  redis.call('HSET', docs, id, document)
  mine = true
  changed = news == '1'
end
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, forget) end
if changed then redis.pcall('PUBLISH', channel, id) end

local answer = { before or generation, mine and 1 or 0 }
local rows = redis.call('ZREVRANGE', beats, 0, limit - 1, 'WITHSCORES')
for index = 1, #rows, 2 do
  answer[#answer + 1] = rows[index]
  answer[#answer + 1] = rows[index + 1]
  answer[#answer + 1] = string.format('%.0f', now - tonumber(rows[index + 1]))
  answer[#answer + 1] = redis.call('HGET', docs, rows[index]) or ''
end
return answer
`);

/** The keys share a hash tag, so that one script reaches them in a Redis Cluster too. */
export function redisBeats(redis: Pick<Redis, "key" | "run" | "subscribe">): BeatStore {
  const keys = ["beats", "documents", "birth"].map((name) => redis.key(`{members}:${name}`));
  const channel = redis.key("{members}:hints");
  const bounds = [limits.expiryMs, limits.retentionMs, limits.forgetMs, limits.rowsReadMax];
  return {
    exchange({ mode, id, incarnation, document, generation, isNews }: BeatOrder) {
      const own = [mode, id, incarnation, document, generation, isNews ? 1 : 0, channel];
      return redis.run(script, keys, [...own, ...bounds]);
    },
    onHint: (listener) => redis.subscribe(channel, () => listener()),
  };
}
