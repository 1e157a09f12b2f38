import { canonicalNames } from "./canonical-names.ts";
import type { Account, ClientRule, Clients, Config, Egress, Quota, TlsFiles, Tracing, Upstream } from "./config.ts";
import { deepFreeze } from "./deep-freeze.ts";
import type { NodeIdentity } from "./node-identity.ts";
import type { Path } from "./path.ts";
import { canonicalPattern, canonicalRepository } from "./pattern.ts";
import { clusterOf, s3Of } from "./resolve-cluster.ts";
import type { Settings } from "./schema.ts";
import type { SecretSource } from "./secret-source.ts";

type AccountSettings = Settings["accounts"][number];
type EgressSettings = Partial<NonNullable<Settings["egress"]>[number]> & { readonly name: string };

/** Opens the secret that is given, inline or by its `…File` twin, under `name` of the section at `path`; undefined = neither is. */
export type OpenSecret = (path: Path, name: string, section: object) => SecretSource | undefined;

interface ResolveOptions {
  readonly identity: NodeIdentity;
  readonly openSecret: OpenSecret;
}

/** The frozen configuration that valid settings mean: names made canonical, units named, what is derived filled in. */
export function resolve(settings: Settings, { identity, openSecret }: ResolveOptions): Config {
  const { listen, admin, tags, fallback, clients, storage, log } = settings;
  const upstreams = Object.entries(settings.upstreams).map(([host, entry]) => [host, upstreamOf(host, entry)] as const);
  const canonical = canonicalNames(settings.upstreams);
  const inTable = (pattern: string): string => canonicalPattern(pattern, canonical);
  const { id, ringName, weight, peerUrl = "" } = identity;
  const token = openSecret(["admin"], "token", admin);
  return deepFreeze<Config>({
    listen,
    ...(settings.tls ? { tls: tlsFiles(settings.tls) } : {}),
    admin: { listen: admin.listen, ...(token ? { token } : {}), hosts: admin.hosts },
    node: { id, ringName, weight },
    default: canonical.get(settings.default) ?? settings.default,
    // Without a prototype: names that clients send are looked up in it.
    upstreams: Object.assign(Object.create(null) as Record<string, Upstream>, Object.fromEntries(upstreams)),
    accounts: settings.accounts.map((account, at) => {
      const password = openSecret(["accounts", at], "password", account);
      if (!password) throw new Error("an account that passed its rules has a password");
      return accountOf(account, password, canonical);
    }),
    egress: (settings.egress ?? [{ name: "default" }]).map(egressOf),
    tags: {
      freshMs: tags.fresh,
      staleIfErrorMs: tags.staleIfError,
      refreshHot: tags.refreshHot,
      rules: tags.rules.map(({ match, fresh }) => ({ match: inTable(match), freshMs: fresh })),
    },
    fallback,
    clients: clientsOf(clients, inTable),
    storage: {
      memoryBytesMax: storage.memory,
      disk: { path: storage.disk.path, sizeBytesMax: storage.disk.size },
      pin: storage.pin.map(inTable),
      ...(storage.s3 ? { s3: s3Of(storage.s3, openSecret) } : {}),
    },
    ...(settings.cluster ? { cluster: clusterOf(settings.cluster, peerUrl, openSecret) } : {}),
    ...(settings.ledger ? { ledger: settings.ledger } : {}),
    ...(settings.tracing ? { tracing: tracingOf(settings.tracing, openSecret) } : {}),
    log,
  });
}

function tracingOf(tracing: NonNullable<Settings["tracing"]>, openSecret: OpenSecret): Tracing {
  const { endpoint, sample, serviceName } = tracing;
  const headers = openSecret(["tracing"], "headers", tracing);
  return { endpoint, ...(headers ? { headers } : {}), sample, serviceName };
}

function tlsFiles({ cert, key, clientCa }: NonNullable<Settings["tls"]>): TlsFiles {
  return { certFile: cert, keyFile: key, ...(clientCa === undefined ? {} : { clientCaFile: clientCa }) };
}

function upstreamOf(host: string, entry: Settings["upstreams"][string]): Upstream {
  const url = entry.url ?? new URL(`https://${host}`);
  return {
    name: host,
    url,
    aliases: entry.aliases,
    tokenOrigins: (entry.tokenOrigins ?? [url]).map(({ origin }) => origin),
    allowPrivateAddresses: entry.allowPrivateAddresses,
    ...(entry.ca === undefined ? {} : { caFile: entry.ca }),
    connectionsMax: entry.maxConnections,
    bandwidthBytesPerSec: entry.maxBandwidth,
    offline: entry.offline,
    ...(entry.quota ? { quota: quotaOf(entry.quota, host) } : {}),
  };
}

function quotaOf(
  { window, priority, ...quota }: NonNullable<Settings["upstreams"][string]["quota"]>,
  host: string,
): Quota {
  return {
    ...quota,
    windowSec: window / 1000,
    priority: priority.map((pattern) => canonicalRepository(pattern, host)),
  };
}

const egressOf = ({ name, localAddress, proxy, nodes }: EgressSettings): Egress => ({
  name,
  ...(localAddress === undefined ? {} : { localAddress }),
  ...(proxy === undefined ? {} : { proxy }),
  ...(nodes === undefined ? {} : { nodes }),
});

function accountOf(
  { name, upstream, username, repositories, limit, window }: AccountSettings,
  password: SecretSource,
  canonical: ReadonlyMap<string, string>,
): Account {
  const host = canonical.get(upstream) ?? upstream;
  const patterns = repositories?.map((pattern) => canonicalRepository(pattern, host));
  return {
    name,
    upstream: host,
    username,
    password,
    ...(patterns ? { repositories: patterns } : {}),
    ...(limit === undefined ? {} : { limit }),
    ...(window === undefined ? {} : { windowSec: window / 1000 }),
  };
}

function clientsOf(
  { allow, trustedProxies, auth, rules }: Settings["clients"],
  inTable: (pattern: string) => string,
): Clients {
  return {
    allow,
    trustedProxies,
    ...(auth ? { auth } : {}),
    rules: rules.map(({ match, users, networks, deny }): ClientRule => {
      return { match: inTable(match), ...(users ? { users } : {}), ...(networks ? { networks } : {}), deny };
    }),
  };
}
