import { canonicalNames } from "./canonical-names.ts";
import type { Account, ClientRule, Clients, Config, TlsFiles, Upstream } from "./config.ts";
import { deepFreeze } from "./deep-freeze.ts";
import { canonicalPattern, canonicalRepository } from "./pattern.ts";
import type { Settings } from "./schema.ts";
import type { SecretSource } from "./secret-source.ts";

type AccountSettings = Settings["accounts"][number];

interface ResolveOptions {
  readonly nodeId: string;
  readonly openPassword: (account: AccountSettings, at: number) => SecretSource;
}

/** The frozen configuration that valid settings mean: names made canonical, units named, what is derived filled in. */
export function resolve(settings: Settings, { nodeId, openPassword }: ResolveOptions): Config {
  const { listen, admin, tags, fallback, clients, storage, log } = settings;
  const upstreams = Object.entries(settings.upstreams).map(([host, entry]) => [host, upstreamOf(host, entry)] as const);
  const canonical = canonicalNames(settings.upstreams);
  const inTable = (pattern: string): string => canonicalPattern(pattern, canonical);
  return deepFreeze<Config>({
    listen,
    ...(settings.tls ? { tls: tlsFiles(settings.tls) } : {}),
    admin,
    node: { id: nodeId },
    default: canonical.get(settings.default) ?? settings.default,
    // Without a prototype: names that clients send are looked up in it.
    upstreams: Object.assign(Object.create(null) as Record<string, Upstream>, Object.fromEntries(upstreams)),
    accounts: settings.accounts.map((account, at) => accountOf(account, openPassword(account, at), canonical)),
    tags: {
      freshMs: tags.fresh,
      staleIfErrorMs: tags.staleIfError,
      rules: tags.rules.map(({ match, fresh }) => ({ match: inTable(match), freshMs: fresh })),
    },
    fallback,
    clients: clientsOf(clients, inTable),
    storage: {
      memoryBytesMax: storage.memory,
      disk: { path: storage.disk.path, sizeBytesMax: storage.disk.size },
      pin: storage.pin.map(inTable),
    },
    log,
  });
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
  };
}

function accountOf(
  { name, upstream, username, repositories }: AccountSettings,
  password: SecretSource,
  canonical: ReadonlyMap<string, string>,
): Account {
  const host = canonical.get(upstream) ?? upstream;
  const patterns = repositories?.map((pattern) => canonicalRepository(pattern, host));
  return { name, upstream: host, username, password, ...(patterns ? { repositories: patterns } : {}) };
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
