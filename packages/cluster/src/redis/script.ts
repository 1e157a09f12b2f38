import { createHash } from "node:crypto";

/** A Lua script, and the name by which Redis remembers it. */
export interface Script {
  readonly lua: string;
  readonly sha: string;
}

/** SHA-1 because EVALSHA wants it. */
export const defineScript = (lua: string): Script => ({ lua, sha: createHash("sha1").update(lua).digest("hex") });
