import type { Cluster, Peer, Redis, S3 } from "./config.ts";
import type { Path } from "./path.ts";
import type { OpenSecret } from "./resolve.ts";
import type { Settings } from "./schema.ts";

type ClusterSettings = NonNullable<Settings["cluster"]>;
type RedisSettings = NonNullable<ClusterSettings["redis"]>;
type PeerSettings = NonNullable<ClusterSettings["peer"]>;

/** Redis' own documentation calls it so. */
const masterDefault = "mymaster";

export function clusterOf({ redis, members, peer }: ClusterSettings, peerUrl: string, openSecret: OpenSecret): Cluster {
  if (!peer) throw new Error("a cluster that passed its rules has a peer section");
  return {
    ...(redis ? { redis: redisOf(redis, openSecret) } : {}),
    ...(members
      ? {
          members: members.map(({ id, url, ringName = id, weight }) => ({ id, url: url.origin, ringName, weight })),
        }
      : {}),
    peer: peerOf(peer, peerUrl, openSecret),
  };
}

function redisOf(redis: RedisSettings, openSecret: OpenSecret): Redis {
  const path: Path = ["cluster", "redis"];
  const { url, sentinels, cluster, prefix, username, tls } = redis;
  const password = openSecret(path, "password", redis);
  const sentinelPassword = openSecret(path, "sentinelPassword", redis);
  const ofSentinels = sentinels && {
    addresses: sentinels,
    master: redis.master ?? masterDefault,
    ...(redis.sentinelUsername === undefined ? {} : { username: redis.sentinelUsername }),
    ...(sentinelPassword ? { password: sentinelPassword } : {}),
  };
  return {
    ...(url === undefined ? {} : { url }),
    ...(ofSentinels ? { sentinels: ofSentinels } : {}),
    cluster,
    prefix,
    ...(username === undefined ? {} : { username }),
    ...(password ? { password } : {}),
    ...(tls ? { tls: redisTlsOf(tls) } : {}),
  };
}

const redisTlsOf = ({ ca, cert, key }: NonNullable<RedisSettings["tls"]>): NonNullable<Redis["tls"]> => ({
  ...(ca === undefined ? {} : { caFile: ca }),
  ...(cert === undefined ? {} : { certFile: cert }),
  ...(key === undefined ? {} : { keyFile: key }),
});

function peerOf(peer: PeerSettings, url: string, openSecret: OpenSecret): Peer {
  const { listen, allow, tls } = peer;
  const secret = openSecret(["cluster", "peer"], "secret", peer);
  return {
    listen,
    url,
    ...(allow ? { allow } : {}),
    ...(secret ? { secret } : {}),
    ...(tls ? { tls: { caFile: tls.ca, certFile: tls.cert, keyFile: tls.key } } : {}),
  };
}

export function s3Of(s3: NonNullable<Settings["storage"]["s3"]>, openSecret: OpenSecret): S3 {
  const { bucket, prefix, region, endpoint, forcePathStyle, accessKeyId, expire } = s3;
  const secretAccessKey = openSecret(["storage", "s3"], "secretAccessKey", s3);
  return {
    bucket,
    prefix,
    ...(region === undefined ? {} : { region }),
    ...(endpoint ? { endpoint: endpoint.origin } : {}),
    forcePathStyle,
    ...(accessKeyId !== undefined && secretAccessKey ? { credentials: { accessKeyId, secretAccessKey } } : {}),
    expireMs: expire,
  };
}
