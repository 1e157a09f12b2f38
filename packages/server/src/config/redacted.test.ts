import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { format, inspect } from "node:util";

import type { Config } from "./config.ts";
import type { Environment } from "./environment.ts";
import { loadConfig } from "./load-config.ts";
import { ConfigError } from "./problem.ts";
import { redacted } from "./redacted.ts";

const canary = "canary-51c9";
const account = { name: "ci", upstream: "docker.io", username: "u", password: canary };

const load = (text: string, env: Environment = {}): Promise<Config> =>
  loadConfig({
    file: "c.yaml",
    env,
    readFile: (path) => Promise.resolve(path === "c.yaml" ? text : ""),
    hostname: "n1",
  });

const whole = {
  listen: "[::]:5000",
  tls: { cert: "/c", key: "/k", clientCa: "/ca" },
  node: { id: "n9" },
  default: "ghcr.io",
  upstreams: {
    "registry.local:5000": {
      url: "http://10.0.0.9:5000",
      ca: "/ca",
      aliases: ["x"],
      maxBandwidth: "1.5MiB",
      offline: true,
    },
  },
  accounts: [{ ...account, repositories: ["acme/**"] }],
  tags: { fresh: "1500ms", rules: [{ match: "x/a:*", fresh: "2m" }] },
  clients: {
    allow: ["10.0.0.0/8", "::1"],
    auth: { htpasswdFile: "/h" },
    rules: [
      { match: "docker.io/acme/**", users: ["a"], networks: ["10.0.0.0/9"] },
      { match: "**", deny: true },
    ],
  },
  admin: { token: canary, hosts: ["pullring.example.org"] },
  storage: {
    memory: 12_345,
    pin: ["docker.io/alpine:*"],
    s3: {
      bucket: "images",
      prefix: "a/b",
      region: "eu-1",
      endpoint: "http://s3:9000",
      forcePathStyle: true,
      accessKeyId: "id",
      secretAccessKey: canary,
      expire: "30d",
    },
  },
  ledger: { path: "/l" },
  tracing: { endpoint: "http://c:4318/v1/traces", headers: canary, sample: 0.5, serviceName: "s" },
  cluster: {
    redis: {
      sentinels: ["s1:26379", "[::1]:26379"],
      master: "m",
      sentinelUsername: "su",
      sentinelPassword: canary,
      username: "u",
      password: canary,
      prefix: "p",
      tls: { ca: "/ca", cert: "/c", key: "/k" },
    },
    peer: {
      listen: "[::]:5002",
      allow: ["10.0.0.0/8"],
      secret: canary,
      tls: { ca: "/ca", cert: "/c", key: "/k" },
    },
  },
};

const listed = {
  node: { id: "n1" },
  cluster: {
    members: [
      { id: "n1", url: "http://n1:5002", ringName: "n1:5000", weight: 2 },
      { id: "n2", url: "http://n2:5002" },
    ],
    peer: { secret: canary },
  },
};

test("the effective configuration, written to a file, means the same", async () => {
  for (const text of ["", JSON.stringify(whole), JSON.stringify(listed)]) {
    const config = await load(text);
    const again = await load(JSON.stringify(redacted(config)), {});
    assert.deepEqual(redacted(again), redacted(config));
    assert.deepEqual(JSON.parse(JSON.stringify(again)), JSON.parse(JSON.stringify(config)));
  }
});

test("the effective configuration is in the words of the file, secrets as ***", async () => {
  const words = redacted(await load(JSON.stringify(whole)));
  assert.deepEqual(words["accounts"], [{ ...account, password: "***", repositories: ["acme/**"] }]);
  assert.deepEqual(words["storage"], {
    memory: "12345",
    disk: { path: "./data", size: "20GiB" },
    pin: ["docker.io/library/alpine:*"],
    s3: { ...whole.storage.s3, secretAccessKey: "***" },
  });
  assert.deepEqual(words["admin"], { listen: "127.0.0.1:5001", token: "***", hosts: ["pullring.example.org"] });
  const { redis, peer } = whole.cluster;
  assert.deepEqual(words["cluster"], {
    redis: { ...redis, cluster: false, password: "***", sentinelPassword: "***" },
    peer: { ...peer, url: "https://n9:5002", secret: "***" },
  });
  assert.deepEqual(words["ledger"], whole.ledger);
  assert.deepEqual(words["tracing"], { ...whole.tracing, headers: "***" });
  assert.deepEqual(words["tags"], {
    fresh: "1500ms",
    staleIfError: "30d",
    refreshHot: false,
    rules: [{ match: "registry.local:5000/a:*", fresh: "2m" }],
  });
});

test("a password's file is named, not told", async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "pullring-redacted-"));
  t.after(() => rmSync(dir, { recursive: true }));
  const passwordFile = join(dir, "password");
  writeFileSync(passwordFile, `${canary}\n`);
  const config = await load(JSON.stringify({ accounts: [{ ...account, password: undefined, passwordFile }] }));
  assert.equal(config.accounts[0]?.password.read(), canary);
  assert.deepEqual(redacted(config)["accounts"], [{ name: "ci", upstream: "docker.io", username: "u", passwordFile }]);
});

test("no way to print a configuration tells a secret", async () => {
  const config = await load(JSON.stringify(whole));
  for (const value of [config, redacted(config)]) {
    for (const text of [
      JSON.stringify(value),
      inspect(value, { depth: 20, showHidden: true }),
      format("%o %s", value, value),
    ]) {
      assert.ok(!text.includes(canary));
    }
  }
});

/** Configurations that are wrong near a secret, or that have a secret where none belongs. */
const leaky: [string, string | object, Environment?][] = [
  ["both password and file", { accounts: [{ ...account, passwordFile: "/p" }] }],
  ["a password in a file's place", { accounts: [{ ...account, password: undefined, passwordFile: canary }] }],
  ["a password in a list", { accounts: [{ ...account, password: [canary] }] }],
  ["a password in a map", { accounts: [{ ...account, password: { value: canary } }] }],
  ["a password under a mistyped key", { accounts: [{ ...account, pasword: canary }] }],
  ["a password at the wrong level", { password: canary }],
  ["a password behind the username", { accounts: [{ ...account, username: `u:${canary}` }] }],
  ["an account that is text", { accounts: [`u:${canary}`] }],
  ["accounts that are text", { accounts: canary }],
  ["a space forgotten", `accounts: [{ name: ci, upstream: docker.io, username: u, password:${canary} }]`],
  ["a quote forgotten", `accounts: [{ name: ci, password: "${canary} }]`],
  ["a password in a URL", { upstreams: { "ghcr.io": { url: `https://u:${canary}@ghcr.io` } } }],
  ["a token in a URL", { upstreams: { "ghcr.io": { url: `https://ghcr.io/?token=${canary}` } } }],
  ["a password in an upstream's name", { upstreams: { [`https://u:${canary}@ghcr.io`]: {} } }],
  ["an admin token of the wrong type", { admin: { token: [canary] } }],
  [
    "secrets without what belongs to them",
    { storage: { s3: { secretAccessKey: canary } }, cluster: { peer: { secret: canary } } },
  ],
  [
    "a secret in a file's place",
    { cluster: { peer: { secretFile: canary }, redis: { url: "redis://r", passwordFile: canary } } },
  ],
  [
    "a password in Redis' URL",
    { cluster: { redis: { url: `redis://u:${canary}@redis:6379` }, peer: { secret: "s" } } },
  ],
  ["a token in a file's place", { admin: { tokenFile: canary } }],
  ["wrong JSON in a variable", "", { PULLRING_ACCOUNTS: `[{"password":"${canary}"` }],
  ["text in place of JSON", "", { PULLRING_ACCOUNTS: JSON.stringify(`u:${canary}`) }],
  ["a variable of no key", "", { PULLRING_PASSWORD: canary }],
];

for (const [what, tree, env] of leaky) {
  test(`${what}: the error tells no secret`, async () => {
    const error: unknown = await load(typeof tree === "string" ? tree : JSON.stringify(tree), env).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    assert.ok(error instanceof ConfigError, String(error));
    for (const text of [
      error.message,
      error.stack ?? "",
      JSON.stringify(error),
      inspect(error, { depth: 20, showHidden: true }),
    ]) {
      assert.ok(!text.includes(canary), text);
    }
  });
}

test("the login of a proxy is not shown", async () => {
  const config = await load(JSON.stringify({ egress: [{ name: "p", proxy: `http://u:${canary}@proxy:3128` }] }), {});
  const text = JSON.stringify(redacted(config));
  assert.ok(!text.includes(canary), text);
  assert.match(text, /http:\/\/\*\*\*:\*\*\*@proxy:3128/);
});
