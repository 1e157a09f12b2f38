import { defineScript } from "../redis/index.ts";

/**
 * A lease is a hash {token, node, attempt, bytes} that ends by itself. Its keys share the hash tag of the digest, so that one
 * script reaches them in a Redis Cluster too. KEYS: lease, count of attempts. ARGV: token, node, token to supersede or "",
 * lifetime and that of the count in ms, channel, message.
 */
export const acquireScript = defineScript(`
local held = redis.call('HMGET', KEYS[1], 'token', 'node', 'bytes', 'attempt')
if held[1] == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
  return {'mine', held[4]}
end
if held[1] and held[1] ~= ARGV[3] then
  return {'held', held[1], held[2], held[3]}
end
local attempt = redis.call('INCR', KEYS[2])
redis.call('PEXPIRE', KEYS[2], ARGV[5])
redis.call('HSET', KEYS[1], 'token', ARGV[1], 'node', ARGV[2], 'attempt', attempt, 'bytes', 0)
redis.call('PEXPIRE', KEYS[1], ARGV[4])
if held[1] then
  redis.call('PUBLISH', ARGV[6], ARGV[7])
  return {'taken_over', attempt}
end
return {'acquired', attempt}
`);

/**
 * 1: it stands, 0: somebody else has it. One that is gone is set up again, because the fill that it stands for goes on: Redis
 * was wiped, or lost it in a failover, or away for a while. KEYS: lease. ARGV: token, node, attempt, bytes, lifetime in ms.
 */
export const renewScript = defineScript(`
local token = redis.call('HGET', KEYS[1], 'token')
if token and token ~= ARGV[1] then
  return 0
end
redis.call('HSET', KEYS[1], 'token', ARGV[1], 'node', ARGV[2], 'attempt', ARGV[3], 'bytes', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return 1
`);

/** KEYS: lease. ARGV: token, channel, message. */
export const releaseScript = defineScript(`
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then
  return 0
end
redis.call('DEL', KEYS[1])
redis.call('PUBLISH', ARGV[2], ARGV[3])
return 1
`);
