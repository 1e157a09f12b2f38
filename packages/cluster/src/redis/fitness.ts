import type { Client } from "./client.ts";
import { refusalOf } from "./unavailable.ts";

/** What a server that can be used tells of itself, in words for who looks after it. */
export interface Fitness {
  /** What does harm as it is set up. */
  readonly warnings: readonly string[];
  /** What to know: packagers mend old versions too, so that a node is not called degraded for ever by a guess. */
  readonly advice: readonly string[];
}

interface Series {
  readonly name: string;
  /** First patch of each minor version in which CVE-2025-49844 is mended: a script could run code of its own. */
  readonly mended: Readonly<Record<string, number>>;
}

// https://redis.io/blog/security-advisory-cve-2025-49844/ and the release notes of Valkey of 2025-10-03.
const redisSeries: Series = { name: "Redis", mended: { "6.2": 20, "7.2": 11, "7.4": 6, "8.0": 4, "8.2": 2 } };
const valkeySeries: Series = { name: "Valkey", mended: { "7.2": 11, "8.0": 6, "8.1": 4 } };

const field = (info: string, name: string): string | undefined =>
  new RegExp(`^${name}:(.*?)\\r?$`, "m").exec(info)?.[1];

function versionWarning(info: string): string | undefined {
  const valkey = field(info, "valkey_version");
  const { name, mended } = valkey === undefined ? redisSeries : valkeySeries;
  const version = valkey ?? field(info, "redis_version") ?? "";
  const [, major = 0, minor = 0, patch = 0] = (/^(\d+)\.(\d+)\.(\d+)/.exec(version) ?? []).map(Number);
  const known = Object.keys(mended).map((series) => series.split(".").map(Number) as [number, number]);
  const isNewer = known.every(([high, low]) => major > high || (major === high && minor > low));
  if (isNewer || patch >= (mended[`${major}.${minor}`] ?? Infinity)) return undefined;
  return `${name} ${version || "of an unknown version"} may lack the repair of CVE-2025-49844, unless its packager added it`;
}

function policyWarning(info: string): string | undefined {
  const policy = field(info, "maxmemory_policy");
  if (policy === undefined || policy === "noeviction") return undefined;
  return `maxmemory-policy is ${policy}: when its memory is full Redis drops leases and members; set noeviction`;
}

/** Rejects when the server can't be used: a replica, or one that loads. */
export async function fitnessOf(client: Client): Promise<Fitness> {
  const reply = await client.call("info").catch((error: unknown) => {
    if (refusalOf(error)?.code === "NOPERM") return undefined;
    throw error;
  });
  if (typeof reply !== "string")
    return {
      warnings: [],
      advice: ["this user may not ask INFO, so nobody knows Redis' version and maxmemory-policy"],
    };
  if (field(reply, "loading") === "1") throw new Error("LOADING: still loading its data");
  const role = field(reply, "role");
  if (role !== undefined && role !== "master") throw new Error(`READONLY: a ${role} that takes no writes`);
  const [warning, advice] = [policyWarning(reply), versionWarning(reply)];
  return { warnings: warning === undefined ? [] : [warning], advice: advice === undefined ? [] : [advice] };
}
