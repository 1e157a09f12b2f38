import assert from "node:assert/strict";
import { test } from "node:test";

import type { Config } from "./config.ts";
import type { Environment } from "./environment.ts";
import { loadConfig } from "./load-config.ts";
import { ConfigError, type Problem } from "./problem.ts";

const load = (env: Environment, yaml = ""): Promise<Config> =>
  loadConfig({
    file: "c.yaml",
    env,
    readFile: (path) => Promise.resolve(path === "c.yaml" ? yaml : ""),
    hostname: "n1",
  });

async function problemsOf(env: Environment, yaml = ""): Promise<readonly Problem[]> {
  const error: unknown = await load(env, yaml).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof ConfigError, `expected a ConfigError, got ${String(error)}`);
  return error.problems;
}

test("every scalar outside lists and maps is a variable", async () => {
  const config = await load({
    PULLRING_LISTEN: "127.0.0.1:1",
    PULLRING_TLS__CERT: "/c",
    PULLRING_TLS__KEY: "/k",
    PULLRING_TLS__CLIENT_CA: "/ca",
    PULLRING_ADMIN__LISTEN: "127.0.0.1:2",
    PULLRING_NODE__ID: "n2",
    PULLRING_DEFAULT: "ghcr.io",
    PULLRING_TAGS__FRESH: "1s",
    PULLRING_TAGS__STALE_IF_ERROR: "2s",
    PULLRING_TAGS__REFRESH_HOT: "true",
    PULLRING_FALLBACK: "hold",
    PULLRING_CLIENTS__AUTH__HTPASSWD_FILE: "/h",
    PULLRING_STORAGE__MEMORY: "1048576",
    PULLRING_STORAGE__DISK__PATH: "/d",
    PULLRING_STORAGE__DISK__SIZE: "1GiB",
    PULLRING_LOG__LEVEL: "warn",
  });
  assert.equal(config.listen.port, 1);
  assert.deepEqual(config.tls, { certFile: "/c", keyFile: "/k", clientCaFile: "/ca" });
  assert.equal(config.admin.listen.port, 2);
  assert.equal(config.node.id, "n2");
  assert.equal(config.default, "ghcr.io");
  assert.deepEqual(config.tags, { freshMs: 1_000, staleIfErrorMs: 2_000, refreshHot: true, rules: [] });
  assert.equal(config.fallback, "hold");
  assert.deepEqual(config.clients.auth, { htpasswdFile: "/h" });
  assert.deepEqual(config.storage, {
    memoryBytesMax: 1024 ** 2,
    disk: { path: "/d", sizeBytesMax: 1024 ** 3 },
    pin: [],
  });
  assert.equal(config.log.level, "warn");
});

test("a cluster can be configured by variables alone, numbers and flags too", async () => {
  const config = await load({
    PULLRING_ADMIN__TOKEN: "1234",
    PULLRING_ADMIN__HOSTS: '["pullring.example.org"]',
    PULLRING_NODE__RING_NAME: "n1:5000",
    PULLRING_NODE__WEIGHT: "2",
    PULLRING_STORAGE__S3__BUCKET: "images",
    PULLRING_STORAGE__S3__ENDPOINT: "http://s3:9000",
    PULLRING_STORAGE__S3__FORCE_PATH_STYLE: "true",
    PULLRING_STORAGE__S3__ACCESS_KEY_ID: "id",
    PULLRING_STORAGE__S3__SECRET_ACCESS_KEY: "5678",
    PULLRING_STORAGE__S3__EXPIRE: "30d",
    PULLRING_CLUSTER__REDIS__URL: "redis://redis:6379",
    PULLRING_CLUSTER__REDIS__CLUSTER: "false",
    PULLRING_CLUSTER__REDIS__PASSWORD: "90",
    PULLRING_CLUSTER__PEER__LISTEN: "0.0.0.0:5002",
    PULLRING_CLUSTER__PEER__SECRET: "s",
    PULLRING_CLUSTER__PEER__ALLOW: '["10.0.0.0/8"]',
  });
  assert.equal(config.admin.token?.read(), "1234");
  assert.deepEqual(config.admin.hosts, ["pullring.example.org"]);
  assert.deepEqual(config.node, { id: "n1", ringName: "n1:5000", weight: 2 });
  const { s3 } = config.storage;
  assert.deepEqual([s3?.forcePathStyle, s3?.endpoint, s3?.expireMs], [true, "http://s3:9000", 30 * 86_400_000]);
  assert.equal(s3?.credentials?.secretAccessKey.read(), "5678");
  const { redis, peer } = config.cluster ?? assert.fail("no cluster");
  assert.deepEqual([redis?.url, redis?.cluster, redis?.password?.read()], ["redis://redis:6379", false, "90"]);
  assert.deepEqual([peer.listen.port, peer.url, peer.secret?.read()], [5002, "http://n1:5002", "s"]);
});

for (const [variable, text, key] of [
  ["PULLRING_NODE__WEIGHT", "two", "node.weight"],
  ["PULLRING_NODE__WEIGHT", "", "node.weight"],
  ["PULLRING_NODE__WEIGHT", "1.5", "node.weight"],
  ["PULLRING_STORAGE__S3__FORCE_PATH_STYLE", "yes", "storage.s3.forcePathStyle"],
  ["PULLRING_STORAGE__S3__FORCE_PATH_STYLE", "1", "storage.s3.forcePathStyle"],
] as const) {
  test(`${variable}=${text} is refused: it is no number or no flag`, async () => {
    const problems = await problemsOf({ PULLRING_STORAGE__S3__BUCKET: "images", [variable]: text });
    assert.deepEqual(
      problems.map((problem) => [problem.key, problem.where]),
      [[key, variable]],
    );
  });
}

for (const variable of [
  "PULLRING_TAGS__STALEIFERROR",
  "PULLRING_TAGS__STALE_IF_ERROR",
  "PULLRING_Tags__staleIfError",
]) {
  test(`${variable} is tags.staleIfError`, async () => {
    assert.equal((await load({ [variable]: "90s" })).tags.staleIfErrorMs, 90_000);
  });
}

test("whole lists, maps and sections are JSON", async () => {
  const config = await load({
    PULLRING_ACCOUNTS: '[{"name":"ci","upstream":"ghcr.io","username":"u","password":"p"}]',
    PULLRING_UPSTREAMS: '{"registry.local":{"offline":true}}',
    PULLRING_CLIENTS__ALLOW: '["10.0.0.0/8"]',
    PULLRING_STORAGE__DISK: '{"size":"2GiB"}',
  });
  assert.equal(config.accounts[0]?.upstream, "ghcr.io");
  assert.equal(config.upstreams["registry.local"]?.offline, true);
  assert.equal(config.upstreams["docker.io"]?.offline, false);
  assert.deepEqual(config.clients.allow, [{ address: "10.0.0.0", prefixBits: 8, family: "ipv4" }]);
  assert.equal(config.storage.disk.sizeBytesMax, 2 * 1024 ** 3);
});

test("a variable goes over the file and leaves its neighbours; a list replaces the file's", async () => {
  const yaml = "tags: { fresh: 1s, staleIfError: 1h }\nstorage: { pin: ['docker.io/a/b:*'], memory: 1MiB }";
  const { tags, storage } = await load({ PULLRING_TAGS__FRESH: "2s", PULLRING_STORAGE__PIN: '["ghcr.io/**"]' }, yaml);
  assert.deepEqual([tags.freshMs, tags.staleIfErrorMs], [2_000, 3_600_000]);
  assert.deepEqual([storage.pin, storage.memoryBytesMax], [["ghcr.io/**"], 1024 ** 2]);
});

test("a section's variable goes under its keys' variables", async () => {
  const { tags } = await load({ PULLRING_TAGS: '{"fresh":"1s","staleIfError":"1h"}', PULLRING_TAGS__FRESH: "3s" });
  assert.deepEqual([tags.freshMs, tags.staleIfErrorMs], [3_000, 3_600_000]);
});

test("PULLRING_CONFIG names the file; --config goes before it", async () => {
  const readFile = (path: string): Promise<string> => Promise.resolve(`node: { id: from-${path.slice(1)} }`);
  const env = { PULLRING_CONFIG: "/env" };
  assert.equal((await loadConfig({ env, readFile })).node.id, "from-env");
  assert.equal((await loadConfig({ file: "/flag", env, readFile })).node.id, "from-flag");
});

test("a wrong value is found where it stands: in its variable", async () => {
  const env = { PULLRING_TAGS__FRESH: "soon", PULLRING_CLIENTS: '{"allow":["x"]}', PULLRING_STORAGE__MEMORY: "" };
  const places = (await problemsOf(env, "log: { level: loud }")).map(({ key, where }) => [key, where]);
  assert.deepEqual(places, [
    ["tags.fresh", "PULLRING_TAGS__FRESH"],
    ["clients.allow[0]", "PULLRING_CLIENTS"],
    ["storage.memory", "PULLRING_STORAGE__MEMORY"],
    ["log.level", "c.yaml:1:8"],
  ]);
});

const wrong: [string, string, RegExp, RegExp][] = [
  ["PULLRING_LISTN", "x", /names no key/, /did you mean PULLRING_LISTEN\?$/],
  ["PULLRING_TAGS__FRESHER", "x", /names no key/, /did you mean PULLRING_TAGS__FRESH\?$/],
  ["PULLRING_TAGS_FRESH", "x", /names no key/, /did you mean PULLRING_TAGS__FRESH\?$/],
  ["PULLRING_QQQQQQQQ", "x", /names no key/, /between its levels$/],
  ["PULLRING_", "x", /names no key/, /between its levels$/],
  ["PULLRING_LISTEN__PORT", "x", /names no key/, /PULLRING_/],
  ["PULLRING_UPSTREAMS__DOCKER_IO__URL", "x", /part of a map or list/, /^PULLRING_UPSTREAMS with the whole as JSON$/],
  ["PULLRING_CLIENTS__TRUSTED_PROXIES__0", "x", /part of a map or list/, /^PULLRING_CLIENTS__TRUSTED_PROXIES with/],
  [
    "PULLRING_CLUSTER__MEMBERS__0__ID",
    "n1",
    /part of a map or list/,
    /^PULLRING_CLUSTER__MEMBERS with the whole as JSON$/,
  ],
];

for (const [variable, text, found, allowed] of wrong) {
  test(`${variable} stops the start`, async () => {
    const [problem, ...others] = await problemsOf({ [variable]: text });
    assert.deepEqual([problem?.key, others], [variable, []]);
    assert.match(problem?.found ?? "", found);
    assert.match(problem?.allowed ?? "", allowed);
  });
}

test("two variables for one key stop the start, whatever they say", async () => {
  const [problem] = await problemsOf({ PULLRING_TAGS__STALE_IF_ERROR: "1h", PULLRING_TAGS__STALEIFERROR: "1h" });
  assert.equal(problem?.key, "PULLRING_TAGS__STALE_IF_ERROR");
  assert.match(problem.found, /PULLRING_TAGS__STALEIFERROR/);
});

test("JSON that is none stops the start without being quoted", async () => {
  const [problem] = await problemsOf({ PULLRING_ACCOUNTS: '[{"password":"canary"' });
  assert.deepEqual([problem?.key, problem?.where], ["accounts", "PULLRING_ACCOUNTS"]);
  assert.ok(!JSON.stringify(problem).includes("canary"));
});

test("what Kubernetes sets for services called pullring, tests' variables and other programs' are nobody's keys", async () => {
  await load({
    PULLRING_PORT: "tcp://10.0.0.1:5000",
    PULLRING_SERVICE_HOST: "10.0.0.1",
    PULLRING_SERVICE_PORT: "5000",
    PULLRING_SERVICE_PORT_HTTP: "5000",
    PULLRING_PORT_5000_TCP: "tcp://10.0.0.1:5000",
    PULLRING_PORT_5000_TCP_PROTO: "tcp",
    PULLRING_PORT_5000_TCP_ADDR: "10.0.0.1",
    PULLRING_PEER_WIRE_SERVICE_HOST: "10.0.0.2",
    PULLRING_PEER_WIRE_PORT_5002_TCP_PORT: "5002",
    PULLRING_TEST_ANYTHING: "1",
    PULLRING_LISTEN: undefined,
    PULLRINGS: "1",
    PATH: "/bin",
  });
  assert.equal((await problemsOf({ PULLRING_LISTEN_PORT_X: "1", PULLRING_NODE__PORT: "1" })).length, 2);
});
