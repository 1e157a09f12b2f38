export type { RedisOptions } from "./options.ts";
export { openRedis, type Redis } from "./redis.ts";
export { defineScript, type Script } from "./script.ts";
export { RedisUnavailable } from "./unavailable.ts";
