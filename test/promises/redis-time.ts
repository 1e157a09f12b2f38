import { defineScript, type Redis, type Script } from "@pullring/cluster";

/** Whose scripts see Redis' clock so far ahead. */
export function aheadRedis(redis: Redis, aheadMs: () => number): Pick<Redis, "key" | "run"> {
  const scripts = new Map<string, Script>();
  const ahead = ({ lua, sha }: Script): Script => {
    const seconds = Math.floor(aheadMs() / 1_000);
    const micros = Math.round((aheadMs() % 1_000) * 1_000);
    const name = `${sha} ${seconds} ${micros}`;
    const made = scripts.get(name) ?? defineScript(shifted(lua, seconds, micros));
    scripts.set(name, made);
    return made;
  };
  return { key: (suffix) => redis.key(suffix), run: (script, keys, args) => redis.run(ahead(script), keys, args) };
}

const shifted = (lua: string, seconds: number, micros: number): string => `
local function time()
  local now = redis.call('TIME')
  return { now[1] + ${seconds}, now[2] + ${micros} }
end
${lua.replaceAll("redis.call('TIME')", "time()")}`;
