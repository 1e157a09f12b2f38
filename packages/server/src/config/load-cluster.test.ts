import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import type { Config } from "./config.ts";
import { loadConfig } from "./load-config.ts";
import { ConfigError } from "./problem.ts";

const file = "pullring.yaml";

/** Loads a tree as if it stood in a file of host n1; all files that it names can be read. */
const load = (tree: unknown): Promise<Config> =>
  loadConfig({
    file,
    env: {},
    readFile: (path) => Promise.resolve(path === file ? JSON.stringify(tree) : ""),
    hostname: "n1",
  });

const clusterOf = async (tree: object): Promise<NonNullable<Config["cluster"]>> =>
  (await load({ cluster: tree })).cluster ?? assert.fail("no cluster");

const redis = { url: "redis://redis:6379" };
const peer = { secret: "s" };
const members = [
  { id: "n1", url: "http://n1:5002" },
  { id: "n2", url: "http://n2:5002", ringName: "n2:5000", weight: 2 },
];
const tls = { ca: "/ca", cert: "/c", key: "/k" };

test("a cluster needs no more than a Redis and a secret", async () => {
  const config = await load({ cluster: { redis, peer } });
  assert.deepEqual(config.node, { id: "n1", ringName: "n1", weight: 1 });
  const { secret, ...wire } = config.cluster?.peer ?? assert.fail("no peer");
  assert.deepEqual(wire, { listen: { host: "0.0.0.0", port: 5002 }, url: "http://n1:5002" });
  assert.equal(secret?.read(), "s");
  assert.deepEqual(config.cluster?.redis, { ...redis, cluster: false, prefix: "pullring" });
  assert.equal(config.cluster?.members, undefined);
});

test("a list of members tells each node who it is", async () => {
  const tree = { node: { id: "n2" }, cluster: { members, peer } };
  const { node, cluster } = await load(tree);
  assert.deepEqual(node, { id: "n2", ringName: "n2:5000", weight: 2 });
  assert.equal(cluster?.peer.url, "http://n2:5002");
  assert.deepEqual(cluster?.members, [{ id: "n1", url: "http://n1:5002", ringName: "n1", weight: 1 }, members[1]]);
});

test("sentinels are asked for their master, by a login of their own and over TLS if there is a tls section", async () => {
  const sentinels = ["s1:26379", "s2:26379"];
  const { redis: found } = await clusterOf({
    redis: { sentinels, sentinelUsername: "su", sentinelPassword: "sp", username: "u", password: "p", tls: {} },
    peer,
  });
  const { password, sentinels: asked, ...rest } = found ?? assert.fail("no redis");
  assert.deepEqual(rest, { cluster: false, prefix: "pullring", username: "u", tls: {} });
  assert.equal(password?.read(), "p");
  assert.deepEqual([asked?.master, asked?.username, asked?.password?.read()], ["mymaster", "su", "sp"]);
  assert.deepEqual(asked?.addresses[1], { host: "s2", port: 26_379 });
});

test("with mutual TLS peers are dialled by https, and no secret is needed", async () => {
  const { peer: found } = await clusterOf({
    redis: { url: "rediss://redis/3", tls },
    peer: { tls, allow: ["10.0.0.0/8"] },
  });
  assert.equal(found.url, "https://n1:5002");
  assert.deepEqual(found.tls, { caFile: "/ca", certFile: "/c", keyFile: "/k" });
  assert.deepEqual(found.allow, [{ address: "10.0.0.0", prefixBits: 8, family: "ipv4" }]);
  assert.equal(found.secret, undefined);
});

for (const listen of ["127.0.0.1:5002", "[::1]:5002", "localhost:5002", "127.8.8.8:5002"]) {
  test(`peers that listen on ${listen} are this host's own and may go without secret and TLS`, async () => {
    assert.equal((await clusterOf({ redis, peer: { listen } })).peer.secret, undefined);
  });
}

test("a bucket needs no more than its name: credentials then come by the usual chain", async () => {
  const { s3 } = (await load({ storage: { s3: { bucket: "acme-images" } } })).storage;
  assert.deepEqual(s3, { bucket: "acme-images", prefix: "", forcePathStyle: false, expireMs: 0 });
});

test("every secret may stand in a file, and follows it", async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "pullring-secrets-"));
  t.after(() => rmSync(dir, { recursive: true }));
  let now = 0;
  const secret = join(dir, "secret");
  writeFileSync(secret, "first\n");
  const tree = {
    admin: { tokenFile: secret },
    storage: { s3: { bucket: "images", accessKeyId: "id", secretAccessKeyFile: secret } },
    cluster: {
      redis: { sentinels: ["s1:1"], passwordFile: secret, sentinelPasswordFile: secret },
      peer: { secretFile: secret },
    },
  };
  const readFile = (): Promise<string> => Promise.resolve(JSON.stringify(tree));
  const { admin, storage, cluster } = await loadConfig({
    file,
    env: {},
    readFile,
    hostname: "n1",
    clock: { monotonic: () => now },
  });
  const sources = [
    admin.token,
    storage.s3?.credentials?.secretAccessKey,
    cluster?.redis?.password,
    cluster?.redis?.sentinels?.password,
    cluster?.peer.secret,
  ];
  assert.deepEqual(new Set(sources.map((source) => source?.read())), new Set(["first"]));
  writeFileSync(secret, "the second\n");
  now += 60_000;
  assert.deepEqual(new Set(sources.map((source) => source?.read())), new Set(["the second"]));
});

const withRedis = (more: object): object => ({ cluster: { redis: { ...redis, ...more }, peer } });
const withPeer = (more: object): object => ({ cluster: { redis, peer: more } });
const withMembers = (list: unknown, more: object = {}): object => ({ cluster: { members: list, peer }, ...more });
const withS3 = (more: object): object => ({ storage: { s3: { bucket: "images", ...more } } });
const sentinels = ["s1:26379"];

/** What can't be, and the key that is named. */
const refused: [string, object, string][] = [
  ["neither Redis nor members", { cluster: { peer } }, "cluster"],
  ["an empty section", { cluster: null }, "cluster, cluster.peer"],
  ["Redis and members", { cluster: { redis, members, peer } }, "cluster"],
  ["no peer section", { cluster: { redis } }, "cluster.peer"],
  ["members without this node", withMembers(members.slice(1)), "cluster.members"],
  ["no members", withMembers([]), "cluster.members"],
  [
    "a member twice",
    withMembers([...members, members[1]]),
    "cluster.members[2].id, cluster.members[2].url, cluster.members[2].ringName",
  ],
  ["a member without URL", withMembers([...members, { id: "n3" }]), "cluster.members[2].url"],
  ["https members without TLS", withMembers([{ id: "n1", url: "https://n1:5002" }]), "cluster.members[0].url"],
  ["a weight of 0", { node: { weight: 0 } }, "node.weight"],
  ["a weight of 101", { node: { weight: 101 } }, "node.weight"],
  ["a member's weight of 1.5", withMembers([{ ...members[0], weight: 1.5 }]), "cluster.members[0].weight"],
  ["another weight than the list's", withMembers(members, { node: { weight: 2 } }), "node.weight"],
  ["another ring name than the list's", withMembers(members, { node: { ringName: "x" } }), "node.ringName"],
  ["another URL than the list's", { cluster: { members, peer: { ...peer, url: "http://x:1" } } }, "cluster.peer.url"],
  ["a ring name with a space", { node: { ringName: "n1 weight=2" } }, "node.ringName"],
  ["a ring name that is empty", { node: { ringName: "" } }, "node.ringName"],
  ["no secret and no TLS off loopback", withPeer({}), "cluster.peer"],
  ["no secret and no TLS on a host's name", withPeer({ listen: "n1:5002" }), "cluster.peer"],
  ["secret and secretFile", withPeer({ secret: "s", secretFile: "/does/not/exist" }), "cluster.peer"],
  ["a secret's file that is not there", withPeer({ secretFile: "/does/not/exist" }), "cluster.peer.secretFile"],
  ["TLS without authorities", withPeer({ tls: { cert: "/c", key: "/k" } }), "cluster.peer.tls.ca"],
  ["an https URL without TLS", withPeer({ secret: "s", url: "https://n1:5002" }), "cluster.peer.url"],
  ["an http URL with TLS", withPeer({ tls, url: "http://n1:5002" }), "cluster.peer.url"],
  ["a URL with a path", withPeer({ secret: "s", url: "http://n1:5002/peer" }), "cluster.peer.url"],
  ["no URL beside port 0", withPeer({ secret: "s", listen: "0.0.0.0:0" }), "cluster.peer.url"],
  ["the clients' port", withPeer({ secret: "s", listen: "127.0.0.1:5000" }), "cluster.peer.listen"],
  ["the admin port", withPeer({ secret: "s", listen: "0.0.0.0:5001" }), "cluster.peer.listen"],
  ["peers from nowhere", withPeer({ secret: "s", allow: [] }), "cluster.peer.allow"],
  ["url and sentinels", withRedis({ sentinels }), "cluster.redis"],
  ["neither url nor sentinels", { cluster: { redis: {}, peer } }, "cluster.redis"],
  ["a master without sentinels", withRedis({ master: "m" }), "cluster.redis.master"],
  ["a sentinel without port", { cluster: { redis: { sentinels: ["s1"] }, peer } }, "cluster.redis.sentinels[0]"],
  ["sentinels of a Redis Cluster", { cluster: { redis: { sentinels, cluster: true }, peer } }, "cluster.redis.cluster"],
  ["a database of a Redis Cluster", withRedis({ url: "redis://r:1/2", cluster: true }), "cluster.redis.url"],
  ["a user without password", withRedis({ username: "u" }), "cluster.redis.username"],
  ["password and passwordFile", withRedis({ password: "p", passwordFile: "/does/not/exist" }), "cluster.redis"],
  ["a password in the URL", withRedis({ url: "redis://u:p@redis" }), "cluster.redis.url"],
  ["an http URL", withRedis({ url: "http://redis" }), "cluster.redis.url"],
  ["a port that is none", withRedis({ url: "redis://redis:99999" }), "cluster.redis.url"],
  ["tls beside redis://", withRedis({ tls: { ca: "/ca" } }), "cluster.redis.tls"],
  ["a certificate without its key", withRedis({ url: "rediss://r", tls: { cert: "/c" } }), "cluster.redis.tls"],
  ["a prefix with braces", withRedis({ prefix: "{a}" }), "cluster.redis.prefix"],
  ["a bucket without a name", { storage: { s3: {} } }, "storage.s3.bucket"],
  ["a bucket with a slash", withS3({ bucket: "a/b" }), "storage.s3.bucket"],
  ["accessKeyId without its secret", withS3({ accessKeyId: "id" }), "storage.s3"],
  ["a secret without accessKeyId", withS3({ secretAccessKey: "s" }), "storage.s3"],
  ["a prefix that climbs", withS3({ prefix: "../x" }), "storage.s3.prefix"],
  ["a prefix with slashes around", withS3({ prefix: "/x/" }), "storage.s3.prefix"],
  ["a flag that is text", withS3({ forcePathStyle: "true" }), "storage.s3.forcePathStyle"],
  ["an endpoint without scheme", withS3({ endpoint: "s3:9000" }), "storage.s3.endpoint"],
  ["token and tokenFile", { admin: { token: "t", tokenFile: "/does/not/exist" } }, "admin"],
  ["a host with its port", { admin: { hosts: ["pullring:5001"] } }, "admin.hosts[0]"],
];

for (const [what, tree, keys] of refused) {
  test(`${what} stops the start at ${keys}`, async () => {
    const error: unknown = await load(tree).catch((reason: unknown) => reason);
    assert.ok(error instanceof ConfigError, `expected a ConfigError, got ${String(error)}`);
    assert.equal(error.problems.map(({ key }) => key).join(", "), keys);
    for (const { found, allowed } of error.problems) assert.ok(found !== "" && allowed !== "");
  });
}

test("TLS files of the cluster are opened at the start, so that a wrong path stops it", async () => {
  const tree = { cluster: { redis: { url: "rediss://r", tls }, peer: { tls } } };
  const readFile = (path: string): Promise<string> =>
    path === file ? Promise.resolve(JSON.stringify(tree)) : Promise.reject(new Error("EACCES"));
  const error: unknown = await loadConfig({ file, env: {}, readFile, hostname: "n1" }).catch(
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof ConfigError);
  const keys = error.problems.map(({ key }) => key);
  assert.deepEqual(
    keys,
    ["redis", "peer"].flatMap((part) => ["ca", "cert", "key"].map((name) => `cluster.${part}.tls.${name}`)),
  );
});
