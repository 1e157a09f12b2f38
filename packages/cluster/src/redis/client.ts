import type { ConnectionOptions } from "node:tls";

import { Cluster, Redis as IoRedis, type RedisOptions as IoRedisOptions } from "ioredis";

import type { RedisOptions, RedisSentinels, RedisTls, TextSource } from "./options.ts";
import { redisLimits as limits } from "../limits.ts";

export type Client = IoRedis | Cluster;

/**
 * What was measured to be fit for a request's path. A client here lives as long as its first connection: who keeps it makes
 * another, with passwords and certificates as they are by then. So nothing is queued, tried again or sent a second time.
 */
const profile = {
  connectTimeout: limits.connectMs,
  // Of the handshake and of pings. `run` has a stricter deadline of its own that forgives a stall of this process.
  commandTimeout: 2 * limits.commandMs,
  socketTimeout: limits.silentSocketMs,
  disconnectTimeout: limits.disconnectMs,
  maxRetriesPerRequest: 0,
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  autoResubscribe: false,
  retryStrategy: () => null,
  // It writes to the console where a user may not ask INFO; the check of our own does not.
  enableReadyCheck: false,
  disableClientInfo: true,
  protocol: 2,
} as const satisfies IoRedisOptions;

const read = (source: TextSource | undefined): string | undefined => source?.();

function secureOf(tls: RedisTls | undefined): { tls?: ConnectionOptions } {
  if (!tls) return {};
  const [ca, cert, key] = [read(tls.ca), read(tls.cert), read(tls.key)];
  return { tls: { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) } };
}

type Login = Pick<IoRedisOptions, "username" | "password">;
type Secure = Pick<IoRedisOptions, "tls">;

const loginOf = (username: string | undefined, password: string | undefined): Login =>
  password === undefined ? {} : { password, ...(username !== undefined && { username }) };

interface Place {
  readonly host: string;
  readonly port: number;
  readonly db: number;
  readonly isTls: boolean;
}

const defaultPort = 6_379;

function placeOf(text: string): Place {
  const url = new URL(text);
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: url.port === "" ? defaultPort : Number(url.port),
    db: Number(url.pathname.slice(1)),
    isTls: url.protocol === "rediss:",
  };
}

/** Another sentinel first at each attempt: one that hangs delays one attempt only. */
function sentinelOptions(sentinels: RedisSentinels, tls: RedisTls | undefined, attempt: number) {
  const { addresses, master, username, password } = sentinels;
  const first = attempt % addresses.length;
  const secure = secureOf(tls);
  const sentinelSecure = secureOf(sentinels.tls ?? tls);
  const sentinelPassword = read(password);
  return {
    sentinels: [...addresses.slice(first), ...addresses.slice(0, first)],
    name: master,
    role: "master" as const,
    ...secure,
    enableTLSForSentinelMode: secure.tls !== undefined,
    ...(sentinelSecure.tls && { sentinelTLS: sentinelSecure.tls }),
    ...(sentinelPassword !== undefined && { sentinelPassword }),
    ...(username !== undefined && { sentinelUsername: username }),
    sentinelRetryStrategy: () => null,
    sentinelCommandTimeout: limits.commandMs,
    updateSentinels: false,
  };
}

/** One client that connects now and never again. Throws when a source of secrets or certificates does. */
export function openClient(options: RedisOptions, attempt: number, isSubscriber: boolean): Client {
  const { url, sentinels, cluster = false, username } = options;
  const login = loginOf(username, read(options.password));
  const client = (): Client => {
    if (sentinels) return new IoRedis({ ...profile, ...login, ...sentinelOptions(sentinels, options.tls, attempt) });
    const { isTls, ...place } = placeOf(url ?? "");
    const secure = secureOf(options.tls ?? (isTls ? {} : undefined));
    // A message reaches the subscribers of every node of a cluster, so one plain connection hears all.
    if (!cluster || isSubscriber) return new IoRedis({ ...profile, ...login, ...place, ...secure });
    return clusterOf(place, { ...login, ...secure });
  };
  const opened = client();
  // Without a listener ioredis writes errors to the console. What they tell is read elsewhere.
  opened.on("error", () => {});
  return opened;
}

/** ioredis sends ASKING without listening to its outcome: on a connection that breaks, that would end this process. */
function hearAsking(node: IoRedis): void {
  const ask = node.asking.bind(node);
  node.asking = () => {
    const asked = ask();
    asked.catch(() => {});
    return asked;
  };
}

function clusterOf({ host, port }: { host: string; port: number }, node: Login & Secure): Cluster {
  // The last two are for the cluster to say.
  const { retryStrategy: _retry, enableOfflineQueue: _queue, ...ofNode } = { ...profile, ...node };
  const cluster = new Cluster([{ host, port }], {
    redisOptions: ofNode,
    clusterRetryStrategy: () => null,
    // A node is dialled when it is first needed, and what needs it at that moment waits for the connection.
    enableOfflineQueue: true,
    enableReadyCheck: false,
    maxRedirections: limits.redirectionsMax,
    // Zero: a command whose connection closed may have run, and is not sent again.
    retryDelayOnFailover: 0,
    retryDelayOnClusterDown: 0,
    retryDelayOnTryAgain: limits.redirectionDelayMs,
    slotsRefreshTimeout: limits.connectMs,
    slotsRefreshInterval: limits.slotsRefreshMs,
    // A certificate names hosts, not the addresses that they have.
    ...(node.tls && { dnsLookup: (name: string, found: (error: null, address: string) => void) => found(null, name) }),
  });
  cluster.on("+node", hearAsking);
  return cluster;
}
