import { formatListen } from "./address.ts";
import type { ListenAddress } from "./config.ts";
import { quoted, type Path } from "./path.ts";
import { countSecrets, type Report, type Rule } from "./rule.ts";
import type { Settings } from "./schema.ts";

type Cluster = NonNullable<Settings["cluster"]>;
type Redis = NonNullable<Cluster["redis"]>;
type Peer = NonNullable<Cluster["peer"]>;

function checkParts({ cluster }: Settings, report: Report): void {
  if (!cluster) return;
  const { redis, members, peer } = cluster;
  const count = [redis, members].filter((part) => part !== undefined).length;
  if (count !== 1)
    report(["cluster"], count === 0 ? "neither redis nor members" : "both redis and members", "redis or members");
  if (!peer) report(["cluster", "peer"], "nothing", "how other nodes reach this one, such as { listen: 0.0.0.0:5002 }");
}

function checkRedis({ cluster }: Settings, report: Report): void {
  const redis = cluster?.redis;
  if (!redis) return;
  const path: Path = ["cluster", "redis"];
  const given = [redis.url, redis.sentinels].filter((way) => way !== undefined).length;
  if (given !== 1) report(path, given === 0 ? "neither url nor sentinels" : "both of them", "url or sentinels");
  if (!redis.sentinels) reportSentinelKeys(redis, report);
  if (redis.cluster && redis.sentinels) report([...path, "cluster"], "true beside sentinels", "one or the other");
  if (redis.cluster && /[1-9]\d*$/.test(databaseOf(redis.url)))
    report([...path, "url"], "a database beside cluster: true", "no database: a Redis Cluster has only one");
  reportRedisTls(redis, report);
  const passwords = countSecrets({ path, name: "password", given: redis }, report);
  if (redis.username !== undefined && passwords === 0)
    report([...path, "username"], "a user without a password", "username together with password or passwordFile");
  const sentinelPasswords = countSecrets({ path, name: "sentinelPassword", given: redis }, report);
  if (redis.sentinelUsername !== undefined && sentinelPasswords === 0)
    report(
      [...path, "sentinelUsername"],
      "a user without a password",
      "sentinelUsername together with sentinelPassword or sentinelPasswordFile",
    );
}

const databaseOf = (url = ""): string => /^rediss?:\/\/[^/]*\/(.*)$/i.exec(url)?.[1] ?? "";

function reportSentinelKeys(redis: Redis, report: Report): void {
  for (const name of ["master", "sentinelUsername", "sentinelPassword", "sentinelPasswordFile"] as const) {
    if (redis[name] !== undefined) report(["cluster", "redis", name], `${name} without sentinels`, "both or neither");
  }
}

function reportRedisTls({ url, tls }: Redis, report: Report): void {
  if (!tls) return;
  const path: Path = ["cluster", "redis", "tls"];
  if (url !== undefined && !/^rediss:/i.test(url)) report(path, "tls beside a redis:// url", "a rediss:// url");
  if ((tls.cert === undefined) !== (tls.key === undefined)) report(path, "one of cert and key", "both or neither");
}

function checkMembers({ cluster }: Settings, report: Report): void {
  const members = cluster?.members ?? [];
  const seen = new Set<string>();
  for (const [at, { id, url, ringName = id }] of members.entries()) {
    const facts = { id, url: url.origin, ringName };
    for (const [name, value] of Object.entries(facts)) {
      if (seen.has(`${name} ${value}`))
        report(["cluster", "members", at, name], `${quoted(value)} a second time`, `another ${name} for each member`);
      seen.add(`${name} ${value}`);
    }
    reportScheme(cluster?.peer, { path: ["cluster", "members", at, "url"], url }, report);
  }
}

function checkPeer({ cluster }: Settings, report: Report): void {
  const peer = cluster?.peer;
  if (!peer) return;
  const path: Path = ["cluster", "peer"];
  const secrets = countSecrets({ path, name: "secret", given: peer }, report);
  if (secrets === 0 && !peer.tls && !isLoopback(peer.listen))
    report(path, `neither secret nor tls on ${formatListen(peer.listen)}`, "secretFile, secret or tls, off loopback");
  if (peer.url) reportScheme(peer, { path: [...path, "url"], url: peer.url }, report);
  if (!peer.url && !cluster.members && peer.listen.port === 0)
    report([...path, "url"], "nothing, beside port 0", "a URL, or a port to listen on");
}

function reportScheme(peer: Peer | undefined, { path, url }: { path: Path; url: URL }, report: Report): void {
  if (!peer || (url.protocol === "https:") === (peer.tls !== undefined)) return;
  report(path, quoted(url.origin), peer.tls ? "https, with cluster.peer.tls" : "http, without cluster.peer.tls");
}

const isLoopback = ({ host }: ListenAddress): boolean =>
  host === "localhost" || host === "::1" || /^127\.\d+\.\d+\.\d+$/.test(host);

function checkS3({ storage: { s3 } }: Settings, report: Report): void {
  if (!s3) return;
  const path: Path = ["storage", "s3"];
  const secrets = countSecrets({ path, name: "secretAccessKey", given: s3 }, report);
  if (secrets > 0 === (s3.accessKeyId !== undefined)) return;
  const found = secrets > 0 ? "a secret without accessKeyId" : "accessKeyId without its secret";
  report(path, found, "accessKeyId together with secretAccessKey or secretAccessKeyFile, or none of them");
}

function checkAdmin({ admin }: Settings, report: Report): void {
  countSecrets({ path: ["admin"], name: "token", given: admin }, report);
}

export const clusterRules: readonly Rule[] = [
  { reads: ["admin"], check: checkAdmin },
  { reads: ["storage"], check: checkS3 },
  { reads: ["cluster"], check: checkParts },
  { reads: ["cluster"], check: checkRedis },
  { reads: ["cluster"], check: checkMembers },
  { reads: ["cluster"], check: checkPeer },
];
