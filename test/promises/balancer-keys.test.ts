import assert from "node:assert/strict";
import { Agent, get } from "node:http";
import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";

import { type Repository, repositoryKey, route, type UpstreamNames } from "@pullring/core";
import { OciError, parseTarget, type Target } from "@pullring/oci";

import { canonicalNames } from "../../packages/server/src/config/canonical-names.ts";
import { knownUpstreams } from "../../packages/server/src/config/known-upstreams.ts";
import { ringKeyFile } from "../real/balancer.ts";
import { needs } from "../real/needs.ts";
import { startNginx } from "../real/nginx.ts";

const table = Object.entries(knownUpstreams).map(([host, { aliases = [] }]) => [host, { aliases }] as const);
const upstreams: UpstreamNames = {
  default: "docker.io",
  canonical: canonicalNames({
    ...Object.fromEntries(table),
    "registry.local:5000": { aliases: [] },
    localhost: { aliases: [] },
  }),
};

const sha256 = `sha256:${"0123456789abcdef".repeat(4)}`;
const sha512 = `sha512:${"0123456789abcdef".repeat(8)}`;

const prefixes = ["", "/docker.io", "/index.docker.io", "/ghcr.io", "/registry.local:5000", "/nowhere.example"];
const hosts = [
  "",
  "docker.io/",
  "registry-1.docker.io/",
  "registry.hub.docker.com/",
  "ghcr.io/",
  "registry.local:5000/",
  "localhost/",
];
const names = [
  "alpine",
  "library/alpine",
  "v2",
  "v2/alpine",
  "blobs",
  "manifests/manifests",
  "tags/x/blobs/y",
  "google.com/sdk/cli",
  "a.b/c",
];
const verbs = [
  "manifests/latest",
  "manifests/3.20_a-B.c",
  "manifests/list",
  `manifests/${sha256}`,
  `manifests/${sha512}`,
  `blobs/${sha256}`,
  `referrers/${sha256}`,
  "tags/list",
];
const queries = [
  "",
  "?",
  "?ns=docker.io",
  "?ns=index.docker.io",
  "?ns=ghcr.io",
  "?ns=gcr.io",
  "?ns=registry.local:5000",
  "?ns=registry.local%3A5000",
  "?ns=localhost",
  "?ns=",
  "?n=5&ns=ghcr.io&last=x",
  "?x=/v2/a/manifests/b",
];

function* targets(): Generator<string> {
  for (const prefix of prefixes)
    for (const host of hosts)
      for (const name of names)
        for (const verb of verbs) for (const query of queries) yield `${prefix}/v2/${host}${name}/${verb}${query}`;
}

/** Targets that say nothing of an owner; nginx then takes the nodes in turn. */
const keyless = ["/", "/v2", "/v2/", "/v2/?ns=docker.io", "/v2/_catalog", "/livez", "/ghcr.io/v2/", `/blobs/${sha256}`];

const keyOf = (target: Extract<Target, { path: string }>, repository: Repository): string => {
  if (target.kind === "manifest") {
    const isDigest = target.reference.includes(":");
    return isDigest ? target.reference : `${repositoryKey(repository)}:${target.reference}`;
  }
  return "digest" in target ? target.digest : repositoryKey(repository);
};

/** The key by the nodes' own rules; undefined for what they refuse, which may go to any of them. */
function ownKey(raw: string): string | undefined {
  try {
    const target = parseTarget(raw);
    if (!target || !("path" in target)) return undefined;
    return keyOf(target, route(target, upstreams));
  } catch (error) {
    if (error instanceof OciError) return undefined;
    throw error;
  }
}

/** Of nginx, which has it in a header of every answer. */
function keyAt(url: string, path: string, agent: Agent): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const { hostname, port } = new URL(url);
  get({ hostname, port, path, agent }, (response) => {
    response.resume().once("end", () => resolve(String(response.headers["x-ring-key"] ?? "")));
  }).once("error", reject);
  return promise;
}

suite("the balancer", { skip: needs("nginx") }, () => {
  test("hashes for every request the key that the nodes hash for it", async (t) => {
    await using folder = await mkdtempDisposable(join(tmpdir(), "pullring-keys-"));
    await using nginx = await startNginx({
      dir: folder.path,
      http: `include ${ringKeyFile};`,
      server: "add_header X-Ring-Key $ring_key always; location / { return 204; }",
    });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    t.after(() => agent.destroy());
    const wrong: string[] = [];
    let compared = 0;
    for (const target of targets()) {
      const own = ownKey(target);
      if (own === undefined) continue;
      compared += 1;
      const key = await keyAt(nginx.url, target, agent);
      if (key !== own) wrong.push(`${target}: nginx ${key}, the nodes ${own}`);
    }
    t.diagnostic(`${compared} targets`);
    assert.deepEqual(wrong.slice(0, 10), []);
    assert.ok(compared > 5_000, String(compared));
    for (const target of keyless) assert.equal(await keyAt(nginx.url, target, agent), "", target);
  });
});
