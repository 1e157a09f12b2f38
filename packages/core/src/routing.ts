import { OciError, parseName, type Target } from "@pullring/oci";

import type { Repository } from "./ports.ts";

/** The closed table of upstreams. Nothing that is not in it is ever dialled. */
export interface UpstreamNames {
  readonly default: string;
  /** Every host name and alias, to the upstream's canonical name. */
  readonly canonical: ReadonlyMap<string, string>;
}

type Addressed = Extract<Target, { path: string }>;

const dockerHub = "docker.io";

/**
 * Which repository of which upstream a request means. The upstream may be named by `/<upstream>/v2/…`, by `ns` and by the first
 * component of the path, all at once if they agree; else it is the default. Throws NAME_UNKNOWN for an upstream that is
 * not in the table, NAME_INVALID for names that disagree or are none.
 */
export function route(target: Addressed, names: UpstreamNames): Repository {
  const { host, rest } = splitHost(target.path, names);
  const named = [target.prefix, target.ns, host]
    .filter((name) => name !== undefined)
    .map((name) => lookUp(name, names));
  if (new Set(named).size > 1)
    throw new OciError("NAME_INVALID", "the path, the prefix and ns name different upstreams");
  const upstream = named[0] ?? names.default;
  const name = parseName(rest);
  if (upstream !== dockerHub) return { upstream, name };
  // No namespace of Docker Hub looks like a host, so this is a registry that is not in the table.
  if (looksLikeHost(name)) throw unknownUpstream(name);
  return { upstream, name: name.includes("/") ? name : `library/${name}` };
}

/** Throws NAME_UNKNOWN for a name that is not in the table. */
export function lookUp(name: string, names: UpstreamNames): string {
  const canonical = names.canonical.get(name.toLowerCase());
  if (canonical === undefined) throw unknownUpstream(name);
  return canonical;
}

const unknownUpstream = (name: string): OciError =>
  new OciError("NAME_UNKNOWN", `no such upstream here: ${name.slice(0, 160)}`);

/** A repository's first component may hold dots too, so the table decides; only a colon can't be part of a name. */
function splitHost(path: string, names: UpstreamNames): { host?: string; rest: string } {
  const slash = path.indexOf("/");
  if (slash < 0) return { rest: path };
  const first = path.slice(0, slash);
  if (!looksLikeHost(path) || (!names.canonical.has(first.toLowerCase()) && !first.includes(":")))
    return { rest: path };
  return { host: first, rest: path.slice(slash + 1) };
}

const looksLikeHost = (path: string): boolean => /^(?:[^/]*[.:][^/]*|localhost)\//.test(path);
