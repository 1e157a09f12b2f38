import { formatListen } from "./address.ts";
import { canonicalNames } from "./canonical-names.ts";
import type { ListenAddress } from "./config.ts";
import { formatDuration } from "./duration.ts";
import { knownUpstreams } from "./known-upstreams.ts";
import { nearest } from "./nearest.ts";
import { quoted, type Path } from "./path.ts";
import { upstreamOf } from "./pattern.ts";
import { countSecrets, type Report, type Rule } from "./rule.ts";
import { clusterRules } from "./rules-cluster.ts";
import type { Settings } from "./schema.ts";

const wildcards: ReadonlySet<string> = new Set(["0.0.0.0", "::"]);

const collide = (a: ListenAddress, b: ListenAddress): boolean =>
  a.port !== 0 && a.port === b.port && (a.host === b.host || wildcards.has(a.host) || wildcards.has(b.host));

function checkListens({ listen, admin }: Settings, report: Report): void {
  if (!collide(listen, admin.listen)) return;
  report(["admin", "listen"], formatListen(admin.listen), `another port than listen has (${formatListen(listen)})`);
}

function checkPeerListen({ listen, admin, cluster }: Settings, report: Report): void {
  if (!cluster?.peer) return;
  const peer = cluster.peer.listen;
  const taken = Object.entries({ listen, "admin.listen": admin.listen }).find(([, other]) => collide(peer, other));
  if (!taken) return;
  const [name, other] = taken;
  report(["cluster", "peer", "listen"], formatListen(peer), `another port than ${name} has (${formatListen(other)})`);
}

function checkDefault(settings: Settings, report: Report): void {
  reportUnknown(settings, report, ["default"], settings.default);
}

/** A name must be a key of `upstreams`, built in, or an alias of one. */
function reportUnknown({ upstreams }: Settings, report: Report, path: Path, name: string): void {
  const names = [...canonicalNames(upstreams).keys()];
  if (names.includes(name)) return;
  const likely = nearest(name, names);
  const hint = likely === undefined ? "" : `; did you mean ${likely}?`;
  report(path, quoted(name), `an upstream that is known by name or stands in upstreams${hint}`);
}

function checkAliases({ upstreams }: Settings, report: Report): void {
  const takenBy = new Map<string, string>();
  for (const [host, { aliases }] of Object.entries(upstreams)) {
    for (const [at, alias] of aliases.entries()) {
      const twin = takenBy.get(alias);
      const isHost = Object.hasOwn(upstreams, alias);
      if (isHost && knownUpstreams[host]?.aliases?.includes(alias)) {
        report(
          ["upstreams", alias],
          `a known alias of ${host}`,
          `its keys under ${host}, or aliases there without this name`,
        );
      } else if (isHost || twin !== undefined) {
        const found = isHost ? "the name of an upstream" : `an alias of ${twin} already`;
        report(["upstreams", host, "aliases", at], `${quoted(alias)}, ${found}`, "a name that means nothing else");
      }
      takenBy.set(alias, host);
    }
  }
}

/** A token request carries the password. */
function checkTokenOrigins({ upstreams }: Settings, report: Report): void {
  for (const [host, { url, tokenOrigins = [] }] of Object.entries(upstreams)) {
    if (url?.protocol === "http:") continue;
    for (const [at, origin] of tokenOrigins.entries()) {
      if (origin.protocol === "https:") continue;
      report(["upstreams", host, "tokenOrigins", at], quoted(origin.origin), "https, as the upstream's url is");
    }
  }
}

function checkAccountNames({ accounts }: Settings, report: Report): void {
  const names = new Set<string>();
  for (const [at, { name }] of accounts.entries()) {
    if (names.has(name)) report(["accounts", at, "name"], `${quoted(name)} a second time`, "a name for each account");
    names.add(name);
  }
}

function checkAccountUpstreams(settings: Settings, report: Report): void {
  for (const [at, { upstream }] of settings.accounts.entries()) {
    reportUnknown(settings, report, ["accounts", at, "upstream"], upstream);
  }
}

function checkPasswords({ accounts }: Settings, report: Report): void {
  for (const [at, { password, passwordFile }] of accounts.entries()) {
    const given = [password, passwordFile].filter((secret) => secret !== undefined).length;
    if (given !== 1) report(["accounts", at], given === 0 ? "no password" : "both of them", "password or passwordFile");
  }
}

function checkEgress({ egress = [] }: Settings, report: Report): void {
  const names = new Set<string>();
  for (const [at, { name, localAddress, proxy }] of egress.entries()) {
    if (names.has(name)) report(["egress", at, "name"], `${quoted(name)} a second time`, "a name for each way out");
    names.add(name);
    if (localAddress !== undefined && proxy) report(["egress", at], "both of them", "localAddress or proxy");
  }
}

function checkFreshness({ tags }: Settings, report: Report): void {
  const most = `at most tags.staleIfError (${formatDuration(tags.staleIfError)})`;
  const windows: [Path, number][] = [
    [["tags", "fresh"], tags.fresh],
    ...tags.rules.map(({ fresh }, at): [Path, number] => [["tags", "rules", at, "fresh"], fresh]),
  ];
  for (const [path, fresh] of windows) if (fresh > tags.staleIfError) report(path, formatDuration(fresh), most);
}

function checkClientRules({ clients }: Settings, report: Report): void {
  for (const [at, { users, networks, deny }] of clients.rules.entries()) {
    const path: Path = ["clients", "rules", at];
    if (users && !clients.auth)
      report([...path, "users"], "users, but nobody logs in", "users together with clients.auth");
    if (deny && (users || networks)) report([...path, "deny"], "true beside users or networks", "one or the other");
  }
}

/** A pattern of an unknown upstream never matches: a rule that should keep people out would do nothing, silently. */
function checkPatterns(settings: Settings, report: Report): void {
  const { tags, clients, storage } = settings;
  const patterns: [Path, string][] = [
    ...tags.rules.map(({ match }, at): [Path, string] => [["tags", "rules", at, "match"], match]),
    ...clients.rules.map(({ match }, at): [Path, string] => [["clients", "rules", at, "match"], match]),
    ...storage.pin.map((match, at): [Path, string] => [["storage", "pin", at], match]),
  ];
  for (const [path, pattern] of patterns) {
    const upstream = upstreamOf(pattern);
    if (upstream !== undefined) reportUnknown(settings, report, path, upstream);
  }
}

function checkTracing({ tracing }: Settings, report: Report): void {
  if (tracing) countSecrets({ path: ["tracing"], name: "headers", given: tracing }, report);
}

export const rules: readonly Rule[] = [
  { reads: ["listen", "admin"], check: checkListens },
  { reads: ["listen", "admin", "cluster"], check: checkPeerListen },
  { reads: ["default", "upstreams"], check: checkDefault },
  { reads: ["upstreams"], check: checkAliases },
  { reads: ["upstreams"], check: checkTokenOrigins },
  { reads: ["accounts"], check: checkAccountNames },
  { reads: ["accounts", "upstreams"], check: checkAccountUpstreams },
  { reads: ["accounts"], check: checkPasswords },
  { reads: ["egress"], check: checkEgress },
  { reads: ["tags"], check: checkFreshness },
  { reads: ["clients"], check: checkClientRules },
  { reads: ["tags", "clients", "storage", "upstreams"], check: checkPatterns },
  { reads: ["tracing"], check: checkTracing },
  ...clusterRules,
];
