import { laneLimits as limits } from "../limits.ts";
import type { Redis } from "../redis/redis.ts";
import { defineScript } from "../redis/script.ts";
import type { BoardStore } from "./board-store.ts";

/**
 * All in one step by Redis' own clock. Times in the future, from before that clock was set back, count as now (lanes) or as over (pauses).
 * KEYS: beats, documents, pauses. ARGV: node, document or "", news, channels of hints and pauses, expiry, longest pause, the same pause,
 * most nodes, bytes and pauses, then key and ms of each pause. Answers with {node, document, …} and {key, ms left, …}.
 */
const script = defineScript(`
local beats, docs, pauses = KEYS[1], KEYS[2], KEYS[3]
local node, document, news, hints, word = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local expiry, longest, same = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local nodes, bytes, most = tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function text(ms) return string.format('%.0f', ms) end

for _, early in ipairs(redis.call('ZRANGEBYSCORE', beats, '(' .. text(now), '+inf', 'LIMIT', 0, nodes)) do
  redis.call('ZADD', beats, text(now), early)
end
local gone = redis.call('ZRANGEBYSCORE', beats, '-inf', text(now - expiry), 'LIMIT', 0, nodes)
if document == '' then gone[#gone + 1] = node end
for _, late in ipairs(gone) do
  redis.call('ZREM', beats, late)
  redis.call('HDEL', docs, late)
end
if document ~= '' then
  redis.call('ZADD', beats, text(now), node)
  redis.call('HSET', docs, node, document)
end
redis.call('PEXPIRE', beats, expiry * 2)
redis.call('PEXPIRE', docs, expiry * 2)
if news == '1' then redis.pcall('PUBLISH', hints, node) end

redis.call('ZREMRANGEBYSCORE', pauses, '-inf', text(now))
redis.call('ZREMRANGEBYSCORE', pauses, '(' .. text(now + longest), '+inf')
for index = 12, #ARGV, 2 do
  local key, left = ARGV[index], tonumber(ARGV[index + 1])
  local known = tonumber(redis.call('ZSCORE', pauses, key) or 0)
  if now + left > known + same then
    redis.call('ZADD', pauses, text(now + left), key)
    redis.pcall('PUBLISH', word, text(left) .. ' ' .. key)
  end
end
redis.call('PEXPIRE', pauses, longest)

local told, size = {}, 0
for _, id in ipairs(redis.call('ZREVRANGE', beats, 0, nodes - 1)) do
  local found = redis.call('HGET', docs, id)
  if found and id ~= node and size + #found <= bytes then
    size = size + #found
    told[#told + 1] = id
    told[#told + 1] = found
  end
end
local running = redis.call('ZREVRANGE', pauses, 0, most - 1, 'WITHSCORES')
for index = 2, #running, 2 do
  running[index] = text(tonumber(running[index]) - now)
end
return { told, running }
`);

/** The keys share a hash tag, so that one script reaches them in a Redis Cluster too. */
export function redisBoard(redis: Pick<Redis, "key" | "run" | "subscribe">): BoardStore {
  const keys = ["beats", "documents", "pauses"].map((name) => redis.key(`{lanes}:${name}`));
  const hints = redis.key("{lanes}:hints");
  const word = redis.key("{lanes}:pauses-begun");
  const { expiryMs, pauseMsMax, samePauseMs, nodesMax, readBytesMax, pausesMax } = limits;
  const bounds = [expiryMs, pauseMsMax, samePauseMs, nodesMax, readBytesMax, pausesMax];
  return {
    exchange({ node, document, isNews, pauses }) {
      const own = pauses.flatMap(({ key, leftMs }) => [key, Math.round(leftMs)]);
      return redis.run(script, keys, [node, document, isNews ? 1 : 0, hints, word, ...bounds, ...own]);
    },
    onHint: (listener) => redis.subscribe(hints, () => listener()),
    onPause: (listener) => redis.subscribe(word, listener),
  };
}
