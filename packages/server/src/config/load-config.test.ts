import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import type { Config } from "./config.ts";
import type { Environment } from "./environment.ts";
import { loadConfig } from "./load-config.ts";
import { ConfigError, type Problem } from "./problem.ts";

const file = "pullring.yaml";

/** Loads a tree as if it stood in a file; all files that it names can be read. */
function load(tree: unknown, env: Environment = {}): Promise<Config> {
  const readFile = (path: string): Promise<string> => Promise.resolve(path === file ? JSON.stringify(tree) : "");
  return loadConfig({ file, env, readFile, hostname: "n1" });
}

async function problemsOf(loading: Promise<unknown>): Promise<readonly Problem[]> {
  const error: unknown = await loading.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof ConfigError, `expected a ConfigError, got ${String(error)}`);
  assert.ok(error.problems.length > 0);
  return error.problems;
}

const keysOf = async (loading: Promise<unknown>): Promise<string[]> =>
  (await problemsOf(loading)).map(({ key }) => key);

const account = { name: "ci", upstream: "docker.io", username: "u", password: "p" };
const ruleOf = (rule: object): object => ({ clients: { rules: [rule] } });

test("without file and environment, every default of the contract holds", async () => {
  const { upstreams, ...config } = await loadConfig({ env: {}, hostname: "n1" });
  assert.deepEqual(config, {
    listen: { host: "0.0.0.0", port: 5000 },
    admin: { listen: { host: "127.0.0.1", port: 5001 }, hosts: [] },
    node: { id: "n1", ringName: "n1", weight: 1 },
    default: "docker.io",
    accounts: [],
    egress: [{ name: "default" }],
    tags: { freshMs: 60_000, staleIfErrorMs: 30 * 86_400_000, refreshHot: false, rules: [] },
    fallback: "direct",
    clients: {
      allow: [
        { address: "0.0.0.0", prefixBits: 0, family: "ipv4" },
        { address: "::", prefixBits: 0, family: "ipv6" },
      ],
      trustedProxies: [],
      rules: [],
    },
    storage: { memoryBytesMax: 256 * 1024 ** 2, disk: { path: "./data", sizeBytesMax: 20 * 1024 ** 3 }, pin: [] },
    log: { level: "info" },
  });
  assert.deepEqual(upstreams["docker.io"], {
    name: "docker.io",
    url: new URL("https://registry-1.docker.io"),
    aliases: ["index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"],
    tokenOrigins: ["https://auth.docker.io"],
    allowPrivateAddresses: false,
    connectionsMax: 64,
    bandwidthBytesPerSec: 0,
    offline: false,
    quota: { anonymous: true, limit: 100, windowSec: 21_600, reserve: 0, priority: [] },
  });
  assert.ok(Object.values(upstreams).every(({ name, quota }) => name === "docker.io" || quota === undefined));
  assert.deepEqual(upstreams["registry.gitlab.com"]?.tokenOrigins, ["https://gitlab.com"]);
  assert.deepEqual(upstreams["ghcr.io"]?.tokenOrigins, ["https://ghcr.io"]);
  assert.equal(upstreams["constructor"], undefined);
});

test("every key of this version is understood", async () => {
  const config = await load({
    listen: "[::]:5000",
    tls: { cert: "/c", key: "/k", clientCa: "/ca" },
    admin: { listen: "127.0.0.1:6000", hosts: ["pullring.example.org", "10.0.0.1"] },
    node: { id: "n7", ringName: "n7:5000", weight: 3 },
    default: "index.docker.io",
    upstreams: {
      "docker.io": {
        offline: true,
        maxBandwidth: "1MB",
        maxConnections: 8,
        quota: { reserve: 5, priority: ["alpine:*"] },
      },
      "registry.local:5000": {
        url: "http://10.0.0.9:5000/",
        aliases: ["registry.local"],
        allowPrivateAddresses: true,
        ca: "/ca",
      },
    },
    accounts: [
      {
        ...account,
        upstream: "registry-1.docker.io",
        repositories: ["acme/**", "alpine"],
        limit: 200,
        window: "1h",
      },
    ],
    egress: [
      { name: "a", localAddress: "2001:db8::1" },
      { name: "b", proxy: "socks5://user:word@proxy:1080", nodes: ["n1"] },
    ],
    tags: {
      fresh: "5s",
      staleIfError: "1h",
      refreshHot: true,
      rules: [{ match: "index.docker.io/alpine:*", fresh: "1s" }],
    },
    fallback: "hold",
    clients: {
      allow: ["10.0.0.0/8"],
      trustedProxies: ["10.0.0.5"],
      auth: { htpasswdFile: "/h" },
      rules: [
        { match: "registry.local/a/**", users: ["u"], networks: ["::1"] },
        { match: "**", deny: true },
      ],
    },
    storage: { memory: 0, disk: { path: "/d", size: "1MiB" }, pin: ["docker.io/alpine:3"] },
    log: { level: "debug" },
  });
  const { upstreams, accounts, ...rest } = config;
  assert.deepEqual(rest, {
    listen: { host: "::", port: 5000 },
    tls: { certFile: "/c", keyFile: "/k", clientCaFile: "/ca" },
    admin: { listen: { host: "127.0.0.1", port: 6000 }, hosts: ["pullring.example.org", "10.0.0.1"] },
    node: { id: "n7", ringName: "n7:5000", weight: 3 },
    default: "docker.io",
    egress: [
      { name: "a", localAddress: "2001:db8::1" },
      { name: "b", proxy: new URL("socks5://user:word@proxy:1080"), nodes: ["n1"] },
    ],
    tags: {
      freshMs: 5_000,
      staleIfErrorMs: 3_600_000,
      refreshHot: true,
      rules: [{ match: "docker.io/library/alpine:*", freshMs: 1_000 }],
    },
    fallback: "hold",
    clients: {
      allow: [{ address: "10.0.0.0", prefixBits: 8, family: "ipv4" }],
      trustedProxies: [{ address: "10.0.0.5", prefixBits: 32, family: "ipv4" }],
      auth: { htpasswdFile: "/h" },
      rules: [
        {
          match: "registry.local:5000/a/**",
          users: ["u"],
          networks: [{ address: "::1", prefixBits: 128, family: "ipv6" }],
          deny: false,
        },
        { match: "**", deny: true },
      ],
    },
    storage: { memoryBytesMax: 0, disk: { path: "/d", sizeBytesMax: 1024 ** 2 }, pin: ["docker.io/library/alpine:3"] },
    log: { level: "debug" },
  });
  const { password, ...ci } = accounts[0] ?? assert.fail("no account");
  assert.deepEqual(ci, {
    name: "ci",
    upstream: "docker.io",
    username: "u",
    repositories: ["acme/**", "library/alpine"],
    limit: 200,
    windowSec: 3600,
  });
  assert.equal(password.read(), "p");
  assert.deepEqual(upstreams["registry.local:5000"], {
    name: "registry.local:5000",
    url: new URL("http://10.0.0.9:5000"),
    aliases: ["registry.local"],
    tokenOrigins: ["http://10.0.0.9:5000"],
    allowPrivateAddresses: true,
    caFile: "/ca",
    connectionsMax: 64,
    bandwidthBytesPerSec: 0,
    offline: false,
  });
  const hub = upstreams["docker.io"];
  assert.deepEqual([hub?.url.origin, hub?.offline, hub?.connectionsMax], ["https://registry-1.docker.io", true, 8]);
  const quota = { anonymous: true, limit: 100, windowSec: 21_600, reserve: 5, priority: ["library/alpine:*"] };
  assert.deepEqual(hub?.quota, quota);
});

/** One wrong value each: the tree and the key that must be named. */
const wrongValues: [unknown, string][] = [
  [[], ""],
  ["text", ""],
  [{ listen: 5000 }, "listen"],
  [{ listen: null }, "listen"],
  [{ listen: "nowhere" }, "listen"],
  [{ tls: {} }, "tls.cert, tls.key"],
  [{ tls: { cert: "/c" } }, "tls.key"],
  [{ tls: { key: "/k" } }, "tls.cert"],
  [{ tls: { clientCa: "/ca" } }, "tls.cert, tls.key"],
  [{ tls: "/c" }, "tls"],
  [{ tls: { cert: "", key: "/k" } }, "tls.cert"],
  [{ admin: "127.0.0.1:5001" }, "admin"],
  [{ egress: [] }, "egress"],
  [{ egress: [{ name: "a" }, { name: "a" }] }, "egress[1].name"],
  [{ egress: [{ name: "a", localAddress: "nowhere" }] }, "egress[0].localAddress"],
  [{ egress: [{ name: "a", proxy: "ftp://p" }] }, "egress[0].proxy"],
  [{ egress: [{ name: "a", proxy: "http://p:1", localAddress: "::1" }] }, "egress[0]"],
  [{ upstreams: { "docker.io": { quota: { limit: -1 } } } }, "upstreams.docker.io.quota.limit"],
  [
    { upstreams: { "docker.io": { quota: { priority: ["library/alpine"] } } } },
    "upstreams.docker.io.quota.priority[0]",
  ],
  [{ node: { id: "a@b" } }, "node.id"],
  [{ default: "Docker.io" }, "default"],
  [{ default: "example.org" }, "default"],
  [{ upstreams: [] }, "upstreams"],
  [{ upstreams: { "Ghcr.io": {} } }, "upstreams.Ghcr.io"],
  [{ upstreams: { "ghcr.io/acme": {} } }, 'upstreams."ghcr.io/acme"'],
  [{ upstreams: { "ghcr.io": "https://ghcr.io" } }, "upstreams.ghcr.io"],
  [{ upstreams: { a: { url: "ftp://a" } } }, "upstreams.a.url"],
  [{ upstreams: { a: { url: "https://a/path" } } }, "upstreams.a.url"],
  [{ upstreams: { a: { url: "https://a?q" } } }, "upstreams.a.url"],
  [{ upstreams: { a: { url: "https://a:99999" } } }, "upstreams.a.url"],
  [{ upstreams: { a: { url: "a" } } }, "upstreams.a.url"],
  [{ upstreams: { a: { tokenOrigins: [] } } }, "upstreams.a.tokenOrigins"],
  [{ upstreams: { a: { tokenOrigins: ["https://a/token"] } } }, "upstreams.a.tokenOrigins[0]"],
  [{ upstreams: { a: { tokenOrigins: ["http://b"] } } }, "upstreams.a.tokenOrigins[0]"],
  [{ upstreams: { a: { allowPrivateAddresses: "yes" } } }, "upstreams.a.allowPrivateAddresses"],
  [{ upstreams: { a: { maxConnections: 0 } } }, "upstreams.a.maxConnections"],
  [{ upstreams: { a: { maxConnections: 1.5 } } }, "upstreams.a.maxConnections"],
  [{ upstreams: { a: { maxBandwidth: "fast" } } }, "upstreams.a.maxBandwidth"],
  [{ upstreams: { a: { aliases: "b" } } }, "upstreams.a.aliases"],
  [{ upstreams: { a: { aliases: ["b", "b"] } } }, "upstreams.a.aliases[1]"],
  [{ upstreams: { a: { aliases: ["a"] } } }, "upstreams.a.aliases[0]"],
  [{ upstreams: { a: { aliases: ["ghcr.io"] } } }, "upstreams.a.aliases[0]"],
  [{ upstreams: { a: { aliases: ["index.docker.io"] } } }, "upstreams.a.aliases[0]"],
  [{ upstreams: { "index.docker.io": {} } }, "upstreams.index.docker.io"],
  [{ accounts: {} }, "accounts"],
  [{ accounts: ["ci"] }, "accounts[0]"],
  [{ accounts: [{ ...account, name: "anonymous" }] }, "accounts[0].name"],
  [{ accounts: [{ ...account, name: undefined }] }, "accounts[0].name"],
  [{ accounts: [account, account] }, "accounts[1].name"],
  [{ accounts: [{ ...account, upstream: "example.org" }] }, "accounts[0].upstream"],
  [{ accounts: [{ ...account, username: "a:b" }] }, "accounts[0].username"],
  [{ accounts: [{ ...account, password: undefined }] }, "accounts[0]"],
  [{ accounts: [{ ...account, passwordFile: "/p" }] }, "accounts[0]"],
  [{ accounts: [{ ...account, password: "" }] }, "accounts[0].password"],
  [{ accounts: [{ ...account, password: 12 }] }, "accounts[0].password"],
  [{ accounts: [{ ...account, password: undefined, passwordFile: "/does/not/exist" }] }, "accounts[0].passwordFile"],
  [{ accounts: [{ ...account, repositories: [] }] }, "accounts[0].repositories"],
  [{ accounts: [{ ...account, repositories: ["/acme"] }] }, "accounts[0].repositories[0]"],
  [{ tags: { fresh: 60 } }, "tags.fresh"],
  [{ tags: { fresh: "31d" } }, "tags.fresh"],
  [{ tags: { rules: [{ match: "**", fresh: "31d" }] } }, "tags.rules[0].fresh"],
  [{ tags: { rules: [{ match: "docker.io/library/*", fresh: "1s" }] } }, "tags.rules[0].match"],
  [{ tags: { rules: [{ match: "example.org/a:*", fresh: "1s" }] } }, "tags.rules[0].match"],
  [{ tags: { rules: [{ match: "**" }] } }, "tags.rules[0].fresh"],
  [{ fallback: "Direct" }, "fallback"],
  [{ clients: { allow: [] } }, "clients.allow"],
  [{ clients: { allow: null } }, "clients.allow"],
  [{ clients: { allow: "10.0.0.0/8" } }, "clients.allow"],
  [{ clients: { allow: ["10.0.0.0/40"] } }, "clients.allow[0]"],
  [{ clients: { auth: {} } }, "clients.auth.htpasswdFile"],
  [{ clients: { auth: null } }, "clients.auth.htpasswdFile"],
  [ruleOf({ match: "docker.io/a:latest" }), "clients.rules[0].match"],
  [ruleOf({ match: "example.org/**" }), "clients.rules[0].match"],
  [ruleOf({ match: "**", users: ["u"] }), "clients.rules[0].users"],
  [ruleOf({ match: "**", networks: ["::1"], deny: true }), "clients.rules[0].deny"],
  [ruleOf({ users: ["u"] }), "clients.rules[0].match"],
  [{ storage: { memory: "lots" } }, "storage.memory"],
  [{ storage: { disk: { size: "1023KiB" } } }, "storage.disk.size"],
  [{ storage: { disk: { path: "" } } }, "storage.disk.path"],
  [{ storage: { pin: ["docker.io/library/alpine"] } }, "storage.pin[0]"],
  [{ log: { level: "verbose" } }, "log.level"],
  [{ admin: { listen: "127.0.0.1:5000" } }, "admin.listen"],
  [{ listen: "127.0.0.1:1", admin: { listen: "[::]:1" } }, "admin.listen"],
];

for (const [tree, key] of wrongValues) {
  test(`${JSON.stringify(tree)} is refused at ${key === "" ? "the root" : key}`, async () => {
    const problems = await problemsOf(load(tree));
    assert.equal(problems.map((problem) => problem.key).join(", "), key);
    for (const { found, allowed } of problems) assert.ok(found !== "" && allowed !== "");
  });
}

test("an unknown key is named with its place, what is allowed there, and what was likely meant", async () => {
  const near: [unknown, string, RegExp][] = [
    [
      { tags: { stale_if_error: "1d" } },
      "tags.stale_if_error",
      /fresh, staleIfError, refreshHot, rules; did you mean staleIfError\?$/,
    ],
    [{ upstreams: { a: { maxBandwith: 1 } } }, "upstreams.a.maxBandwith", /did you mean maxBandwidth\?$/],
    [{ storge: {} }, "storge", /did you mean storage\?$/],
    [{ clients: { zzzzzz: 1 } }, "clients.zzzzzz", /^allow, trustedProxies, auth, rules$/],
  ];
  for (const [tree, key, allowed] of near) {
    const [problem] = await problemsOf(load(tree));
    assert.deepEqual(
      [problem?.key, problem?.where, problem?.found],
      [key, `${file}:1:${problem?.where?.split(":")[2]}`, "an unknown key"],
    );
    assert.match(problem?.allowed ?? "", allowed);
  }
});

test("names that objects inherit are unknown keys and unknown upstreams", async () => {
  const readFile = (): Promise<string> =>
    Promise.resolve(`{"__proto__": {}, "toString": 1, "upstreams": {"__proto__": {"offline": true}}}`);
  const keys = await keysOf(loadConfig({ file, env: {}, readFile, hostname: "n1" }));
  assert.deepEqual(keys.sort(), ["__proto__", "toString", "upstreams.__proto__"]);
  assert.deepEqual(await keysOf(load({ default: "constructor" })), ["default"]);
});

test("everything that is wrong is told at once, values and combinations, file and environment", async () => {
  const tree = {
    tags: { fresh: "31d" },
    log: { level: 3 },
    admin: { listen: "[::]:5000" },
    accounts: [{ name: "ci" }],
    x: 1,
  };
  const keys = await keysOf(load(tree, { PULLRING_STORAGE__MEMORY: "lots", PULLRING_Y: "1" }));
  assert.deepEqual(keys.sort(), [
    "PULLRING_Y",
    "accounts[0].upstream",
    "accounts[0].username",
    "admin.listen",
    "log.level",
    "storage.memory",
    "tags.fresh",
    "x",
  ]);
});

test("what a wrong value would have meant is not guessed: it brings no second problem", async () => {
  assert.deepEqual(await keysOf(load({ listen: "[::]", admin: { listen: "127.0.0.1:5000" } })), ["listen"]);
  const accounts = [{ ...account, upstream: "registry.local" }];
  assert.deepEqual(await keysOf(load({ upstreams: { "Registry.local": {} }, accounts })), ["upstreams.Registry.local"]);
});

test("a file that can't be read stops the start with its key and the reason", async () => {
  const readFile = (path: string): Promise<string> =>
    path === file
      ? Promise.resolve(
          "tls: { cert: /c, key: /k }\nclients: { auth: { htpasswdFile: /h } }\nupstreams: { a: { ca: /ca } }",
        )
      : Promise.reject(Object.assign(new Error("no"), { code: "EACCES" }));
  const problems = await problemsOf(loadConfig({ file, env: {}, readFile, hostname: "n1" }));
  assert.deepEqual(
    problems.map(({ key }) => key),
    ["tls.cert", "tls.key", "upstreams.a.ca", "clients.auth.htpasswdFile"],
  );
  for (const { found, where } of problems) {
    assert.match(found, /EACCES/);
    assert.match(where ?? "", /^pullring\.yaml:\d+:\d+$/);
  }
});

test("a configuration file that is not there is a problem, not an empty configuration", async () => {
  const [problem] = await problemsOf(loadConfig({ file: "/does/not/exist.yaml", env: {} }));
  assert.equal(problem?.key, "--config");
  assert.match(problem.found, /ENOENT/);
});

test("a host's name that can't be a node's id asks for one", async () => {
  assert.deepEqual(await keysOf(loadConfig({ env: {}, hostname: "häst" })), ["node.id"]);
  assert.equal((await loadConfig({ env: { PULLRING_NODE__ID: "n2" }, hostname: "häst" })).node.id, "n2");
});

test("the configuration can't be changed, however deep", async () => {
  const config = await load({ accounts: [account], tags: { rules: [{ match: "**", fresh: "1s" }] } });
  const visit = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    assert.ok(Object.isFrozen(value));
    Object.values(value).forEach(visit);
  };
  visit(config);
});

test("listeners on any free port never collide", async () => {
  assert.equal((await load({ listen: "127.0.0.1:0", admin: { listen: "127.0.0.1:0" } })).admin.listen.port, 0);
});

test("whatever a file holds, it loads or is refused as a configuration", async () => {
  const words = fc.constantFrom(
    "listen",
    "tls",
    "upstreams",
    "accounts",
    "tags",
    "rules",
    "match",
    "docker.io",
    "**",
    "1s",
    "__proto__",
  );
  const value = fc.letrec((tie) => ({
    tree: fc.oneof(
      { maxDepth: 4 },
      words,
      fc.jsonValue({ maxDepth: 1 }),
      fc.array(tie("tree"), { maxLength: 3 }),
      fc.dictionary(words, tie("tree")),
    ),
  })).tree;
  await fc.assert(
    fc.asyncProperty(value, async (tree) => {
      await load(tree).catch((error: unknown) => assert.ok(error instanceof ConfigError, String(error)));
    }),
    { numRuns: 300 },
  );
});
