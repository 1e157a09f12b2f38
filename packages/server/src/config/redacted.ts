import { formatListen, formatNetwork } from "./address.ts";
import { clusterWords, s3Words } from "./redacted-cluster.ts";
import { secretWords, withoutAbsent } from "./words.ts";
import type { Account, ClientRule, Config, Egress, Quota, Tracing, Upstream } from "./config.ts";
import { formatDuration } from "./duration.ts";
import { formatSize } from "./size.ts";

/**
 * The effective configuration in the words of a configuration file: under the keys that people write, sizes and times with units, every
 * inline secret as `***`. Holds everything, so that a file with the same contents (and the secrets) means the same.
 */
export function redacted(config: Config): Record<string, unknown> {
  const { tls, admin, node, tags, fallback, clients, storage, cluster, ledger, tracing, log } = config;
  return {
    listen: formatListen(config.listen),
    ...(tls ? { tls: withoutAbsent({ cert: tls.certFile, key: tls.keyFile, clientCa: tls.clientCaFile }) } : {}),
    admin: withoutAbsent({
      listen: formatListen(admin.listen),
      ...secretWords("token", admin.token),
      hosts: admin.hosts,
    }),
    node,
    default: config.default,
    upstreams: Object.fromEntries(
      Object.values(config.upstreams).map((upstream) => [upstream.name, upstreamWords(upstream)]),
    ),
    accounts: config.accounts.map(accountWords),
    egress: config.egress.map(egressWords),
    tags: {
      fresh: formatDuration(tags.freshMs),
      staleIfError: formatDuration(tags.staleIfErrorMs),
      refreshHot: tags.refreshHot,
      rules: tags.rules.map(({ match, freshMs }) => ({ match, fresh: formatDuration(freshMs) })),
    },
    fallback,
    clients: withoutAbsent({
      allow: clients.allow.map(formatNetwork),
      trustedProxies: clients.trustedProxies.map(formatNetwork),
      auth: clients.auth,
      rules: clients.rules.map(ruleWords),
    }),
    storage: {
      memory: formatSize(storage.memoryBytesMax),
      disk: { path: storage.disk.path, size: formatSize(storage.disk.sizeBytesMax) },
      pin: storage.pin,
      ...(storage.s3 ? { s3: s3Words(storage.s3) } : {}),
    },
    ...(cluster ? { cluster: clusterWords(cluster) } : {}),
    ...(ledger ? { ledger } : {}),
    ...(tracing ? { tracing: tracingWords(tracing) } : {}),
    log,
  };
}

const upstreamWords = (upstream: Upstream): Record<string, unknown> =>
  withoutAbsent({
    url: upstream.url.origin,
    aliases: upstream.aliases,
    tokenOrigins: upstream.tokenOrigins,
    allowPrivateAddresses: upstream.allowPrivateAddresses,
    ca: upstream.caFile,
    maxConnections: upstream.connectionsMax,
    maxBandwidth: formatSize(upstream.bandwidthBytesPerSec),
    offline: upstream.offline,
    quota: upstream.quota && quotaWords(upstream.quota),
  });

const tracingWords = ({ headers, ...tracing }: Tracing): Record<string, unknown> => ({
  ...tracing,
  ...secretWords("headers", headers),
});

const quotaWords = ({ windowSec, ...quota }: Quota): Record<string, unknown> => ({
  ...quota,
  window: formatDuration(windowSec * 1000),
});

const egressWords = ({ name, localAddress, proxy, nodes }: Egress): Record<string, unknown> =>
  withoutAbsent({ name, localAddress, proxy: proxy && withoutLogin(proxy), nodes });

function withoutLogin({ protocol, username, host }: URL): string {
  return `${protocol}//${username === "" ? "" : "***:***@"}${host}`;
}

const accountWords = (account: Account): Record<string, unknown> => {
  const { name, upstream, username, password, repositories, limit, windowSec } = account;
  return withoutAbsent({
    name,
    upstream,
    username,
    ...secretWords("password", password),
    repositories,
    limit,
    window: windowSec === undefined ? undefined : formatDuration(windowSec * 1000),
  });
};

const ruleWords = ({ match, users, networks, deny }: ClientRule): Record<string, unknown> =>
  withoutAbsent({ match, users, networks: networks?.map(formatNetwork), deny });
