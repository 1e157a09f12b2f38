import { formatListen, formatNetwork } from "./address.ts";
import type { Cluster, Peer, Redis, S3 } from "./config.ts";
import { formatDuration } from "./duration.ts";
import { secretWords, withoutAbsent } from "./words.ts";

type Words = Record<string, unknown>;

export const clusterWords = ({ redis, members, peer }: Cluster): Words =>
  withoutAbsent({ redis: redis && redisWords(redis), members, peer: peerWords(peer) });

function redisWords({ url, sentinels, cluster, prefix, username, password, tls }: Redis): Words {
  const ofSentinels = sentinels && {
    sentinels: sentinels.addresses.map(formatListen),
    master: sentinels.master,
    sentinelUsername: sentinels.username,
    ...secretWords("sentinelPassword", sentinels.password),
  };
  return withoutAbsent({
    url,
    ...ofSentinels,
    cluster,
    prefix,
    username,
    ...secretWords("password", password),
    tls: tls && tlsWords(tls),
  });
}

const peerWords = ({ listen, url, allow, secret, tls }: Peer): Words =>
  withoutAbsent({
    listen: formatListen(listen),
    url,
    allow: allow?.map(formatNetwork),
    ...secretWords("secret", secret),
    tls: tls && tlsWords(tls),
  });

const tlsWords = ({ caFile, certFile, keyFile }: NonNullable<Redis["tls"]>): Words =>
  withoutAbsent({ ca: caFile, cert: certFile, key: keyFile });

export const s3Words = ({ credentials, expireMs, ...s3 }: S3): Words =>
  withoutAbsent({
    ...s3,
    accessKeyId: credentials?.accessKeyId,
    ...secretWords("secretAccessKey", credentials?.secretAccessKey),
    expire: formatDuration(expireMs),
  });
