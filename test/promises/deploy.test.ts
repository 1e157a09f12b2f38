import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, mkdtempDisposable, readFile, stat, writeFile } from "node:fs/promises";
import { BlockList } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { ask } from "@pullring/testkit";

import { readDocument } from "../../packages/server/src/config/document.ts";
import { loadConfig } from "../../packages/server/src/config/index.ts";
import { needsCluster, startCluster } from "../real/cluster.ts";
import type { Tree } from "../real/helm.ts";
import { needsRedis, startRedis } from "../real/redis.ts";

const execute = promisify(execFile);
const root = fileURLToPath(new URL("../../", import.meta.url));
const deploy = join(root, "deploy");
const text = (path: string): Promise<string> => readFile(join(deploy, path), "utf8");
const yaml = async (path: string): Promise<Tree> => readDocument(await text(path), path).tree as Tree;
const serversOf = (conf: string): string[] =>
  [...conf.matchAll(/^\s*server ([^\s;]+) resolve fail_timeout=2s;$/gm)].map(([, name = ""]) => name);

suite("deploy/compose", () => {
  test("calls every node the same in the balancer, in the node and in Prometheus", async () => {
    const { services } = await yaml("compose/compose.yaml");
    const nodes = Object.entries(services as Tree).filter(([, { hostname }]) => hostname !== undefined);
    const ringNames = nodes.map(([, { environment }]) => environment.PULLRING_NODE__RING_NAME as string);
    assert.deepEqual(serversOf(await text("nginx/nginx.conf")), ringNames);
    const { scrape_configs: jobs } = await yaml("compose/prometheus.yml");
    const ids = nodes.map(([id, { hostname, volumes }]) => {
      assert.deepEqual([hostname, volumes], [id, [`${id}:/data`]]);
      return id;
    });
    assert.deepEqual(
      ringNames,
      ids.map((id) => `${id}:5000`),
    );
    assert.deepEqual(
      jobs[0].static_configs[0].targets,
      ids.map((id) => `${id}:5001`),
    );
    const { admin, clients, cluster } = await yaml("compose/pullring.yaml");
    assert.deepEqual(admin.hosts, ids);
    assert.deepEqual(clients.trustedProxies, [services.balancer.networks.pullring.ipv4_address]);
    const { networks } = await yaml("compose/compose.yaml");
    const [pool] = networks.pullring.ipam.config;
    assert.deepEqual(cluster.peer.allow, [pool.subnet]);
    // An address that Docker may hand out is taken by whoever starts first.
    const handedOut = new BlockList();
    const [network, bits] = pool.ip_range.split("/");
    handedOut.addSubnet(network, Number(bits));
    for (const fixed of [services.balancer.networks.pullring.ipv4_address, pool.gateway])
      assert.ok(!handedOut.check(fixed), `${fixed} may be handed out`);
  });

  test("makes its secrets once, and a node starts with them and its configuration", async () => {
    await using folder = await mkdtempDisposable(join(tmpdir(), "pullring-deploy-"));
    const script = join(folder.path, "secrets.sh");
    await cp(join(deploy, "compose/secrets.sh"), script);
    await execute(script);
    const { secrets } = await yaml("compose/compose.yaml");
    const files = Object.values(secrets as Tree).map(({ file }) => join(folder.path, file as string));
    const read = (): Promise<string[]> => Promise.all(files.map((file) => readFile(file, "utf8")));
    const first = await read();
    assert.equal(new Set(first).size, files.length);
    assert.equal((await stat(join(folder.path, "secrets"))).mode & 0o777, 0o700);
    await execute(script);
    assert.deepEqual(await read(), first);

    const file = join(folder.path, "pullring.yaml");
    await writeFile(
      file,
      (await text("compose/pullring.yaml")).replaceAll("/run/secrets", join(folder.path, "secrets")),
    );
    const env = { PULLRING_NODE__RING_NAME: "n1:5000", PULLRING_STORAGE__DISK__PATH: folder.path };
    const config = await loadConfig({ file, env, hostname: "n1" });
    assert.equal(config.cluster?.peer.url, "http://n1:5002");
  });

  test(
    "lets nodes into Redis by their password only, with the rights that they need",
    { skip: needsRedis() },
    async (t) => {
      await using folder = await mkdtempDisposable(join(tmpdir(), "pullring-deploy-"));
      await cp(join(deploy, "compose/secrets.sh"), join(folder.path, "secrets.sh"));
      await execute(join(folder.path, "secrets.sh"));
      const users = join(folder.path, "secrets/redis-users");
      const readme = await readFile(join(root, "packages/cluster/README.md"), "utf8");
      const [, needed = ""] = /^user pullring on (.*?) \+cluster\|slots$/m.exec(readme) ?? [];
      assert.ok(needed !== "" && (await readFile(users, "utf8")).endsWith(` ${needed}\n`), needed);
      const redis = await startRedis({ conf: [`aclfile ${users}`] });
      t.after(() => redis.stop());
      assert.match(await redis.ask("PING"), /^-NOAUTH/);
      assert.match(
        await redis.ask(`AUTH pullring ${await readFile(join(folder.path, "secrets/redis"), "utf8")}`),
        /^\+OK/,
      );
    },
  );
});

suite("the balancer in front of a cluster", { skip: needsCluster() }, () => {
  const blobs = 40;

  test("brings every digest to its owner, which asks upstream and no other node", async () => {
    await using cluster = await startCluster({ nodes: 3 });
    const made = Array.from({ length: blobs }, (_, index) =>
      cluster.hub.content.addArtifact({ repository: "acme/artifact", tag: `t${index}`, size: 1_000 }),
    );
    for (const { digest } of made) {
      const { headers } = await ask(`${cluster.url}/v2/acme/artifact/manifests/${digest}`);
      assert.equal(headers["cache-status"], "pullring; fwd=miss; detail=upstream");
    }
    const busy = await Promise.all(cluster.nodes.map(async (node) => node.pullring.logs().includes("/artifact")));
    assert.ok(busy.every(Boolean), "one node had nothing to do");
  });

  test("passes over a node that is gone, and over one that comes later", async () => {
    await using cluster = await startCluster({ nodes: 3 });
    const made = Array.from({ length: blobs }, (_, index) =>
      cluster.hub.content.addArtifact({ repository: "acme/artifact", tag: `t${index}`, size: 1_000 }),
    );
    const pullAll = async (): Promise<number[]> => {
      const statuses: number[] = [];
      for (const { digest } of made)
        statuses.push((await ask(`${cluster.url}/v2/acme/artifact/manifests/${digest}`)).status);
      return statuses;
    };
    const good = made.map(() => 200);
    await cluster.nodes[0]?.kill();
    assert.deepEqual(await pullAll(), good);
    await cluster.add();
    assert.deepEqual(await pullAll(), good);
    assert.equal((await ask(`${cluster.url}/readyz`)).status, 200);
    assert.equal((await ask(`${cluster.url}/livez`)).body.toString(), "alive\n");
  });
});
