import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, mkdir, mkdtempDisposable, readFile, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { suite, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { ask } from "@pullring/testkit";

import { readDocument } from "../../packages/server/src/config/document.ts";
import { loadConfig } from "../../packages/server/src/config/index.ts";
import { findTool } from "../real/needs.ts";
import { needsCluster, startCluster } from "../real/cluster.ts";
import { needsRedis, startRedis } from "../real/redis.ts";

/** YAML of which a test reads a few leaves; what is not there fails it. */
// oxlint-disable-next-line typescript/no-explicit-any
type Tree = Readonly<Record<string, any>>;

const execute = promisify(execFile);
const root = fileURLToPath(new URL("../../", import.meta.url));
const deploy = join(root, "deploy");
const text = (path: string): Promise<string> => readFile(join(deploy, path), "utf8");
const yaml = async (path: string): Promise<Tree> => readDocument(await text(path), path).tree as Tree;
const serversOf = (conf: string): string[] =>
  [...conf.matchAll(/^\s*server ([^\s;]+) resolve;$/gm)].map(([, name = ""]) => name);

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
    assert.deepEqual(cluster.peer.allow, [networks.pullring.ipam.config[0].subnet]);
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

/** Never a failure: the script can build it only where there is a Go that reaches its registry. */
const needsHelm = (): string | false =>
  findTool("helm") === undefined ? "needs helm (scripts/install-tools.sh builds it where there is a Go)" : false;
const chart = join(deploy, "helm/pullring");

interface Rendered {
  readonly of: (kind: string, name: string) => Tree;
  readonly all: readonly Tree[];
}

async function render(...args: readonly string[]): Promise<Rendered> {
  const { stdout } = await execute("helm", ["template", "pullring", chart, "--namespace", "images", ...args]);
  const documents = stdout.split(/^---$/m).filter((part) => part.trim() !== "");
  const all = documents.map((part) => readDocument(part, "chart").tree as Tree);
  const of = (kind: string, name: string): Tree =>
    all.find((one) => one["kind"] === kind && one["metadata"].name === name) ?? assert.fail(`no ${kind} ${name}`);
  return { all, of };
}

test("the chart's balancer is the one that is tested", async () => {
  for (const file of ["ring-key.conf", "proxy.conf"])
    assert.equal(
      await text(`helm/pullring/files/${file}`),
      await text(`nginx/${file}`),
      `${file}: copy it from deploy/nginx`,
    );
});

suite("deploy/helm", { skip: needsHelm() }, () => {
  test("lints, and refuses what does not fit", async () => {
    await execute("helm", ["lint", "--strict", chart]);
    await assert.rejects(render("--set", "replicas=11"), /maxReplicas/);
    await assert.rejects(render("--set", "nosuch=1"), /nosuch/);
    await assert.rejects(render("--set", "redis.settings.password=secret"), /redis\/settings/);
  });

  test("has a line for each pod that there may be, with that pod's ring name", async () => {
    const { of } = await render("--set", "maxReplicas=7");
    const { template, serviceName } = of("StatefulSet", "pullring").spec;
    const [container] = template.spec.containers;
    const ringName = container.env.find(({ name }: Tree) => name === "PULLRING_NODE__RING_NAME").value as string;
    const expected = Array.from({ length: 7 }, (_, ordinal) =>
      ringName.replace("$(PULLRING_NODE__ID)", `pullring-${ordinal}`),
    );
    assert.deepEqual(serversOf(of("ConfigMap", "pullring-balancer").data["nginx.conf"]), expected);
    assert.equal(expected[0], `pullring-0.${serviceName}.images.svc.cluster.local:5000`);
    assert.equal(of("Service", serviceName).spec.publishNotReadyAddresses, true);
  });

  test("writes a configuration that nodes take", async () => {
    await using folder = await mkdtempDisposable(join(tmpdir(), "pullring-chart-"));
    const values = {
      redis: {
        settings: { username: "pullring" },
        passwordSecret: { name: "r" },
        caSecret: { name: "c" },
        url: "rediss://r:6379",
      },
      s3: { bucket: "images", settings: { accessKeyId: "ID", expire: "30d" }, secretAccessKeySecret: { name: "s" } },
      secrets: { admin: { name: "a" } },
      config: { log: { level: "debug" }, storage: { memory: "1GiB" } },
    };
    const valuesFile = join(folder.path, "values.yaml");
    await writeFile(valuesFile, JSON.stringify(values));
    const { of } = await render("--values", valuesFile);
    const mounts = of("StatefulSet", "pullring").spec.template.spec.containers[0].volumeMounts as Tree[];
    const written = of("ConfigMap", "pullring-node").data["pullring.yaml"] as string;
    const named = [...written.matchAll(/: (\/etc\/\S+)$/gm)].map(([, path = ""]) => path);
    assert.equal(named.length, 5);
    for (const path of named) {
      assert.ok(
        mounts.some(({ mountPath }) => path.startsWith(`${mountPath}/`)),
        `${path} is not mounted`,
      );
      await mkdir(join(folder.path, dirname(path)), { recursive: true });
      await writeFile(join(folder.path, path), "secret");
    }
    const file = join(folder.path, "pullring.yaml");
    await writeFile(file, written.replaceAll("/etc/", `${folder.path}/etc/`));
    const env = { PULLRING_NODE__RING_NAME: "pullring-0:5000", PULLRING_STORAGE__DISK__PATH: folder.path };
    const config = await loadConfig({ file, env, hostname: "pullring-0" });
    assert.equal(config.storage.s3?.bucket, "images");
    assert.equal(config.storage.memoryBytesMax, 1024 ** 3);
  });

  test("runs everything without rights, and passes no secret on", async () => {
    const { all } = await render("--set", "redis.passwordSecret.name=r", "--set", "balancer.tlsSecret=t");
    const pods = all.filter(({ kind }) => kind === "StatefulSet" || kind === "Deployment");
    assert.equal(pods.length, 2);
    for (const { spec } of pods) {
      const { securityContext, automountServiceAccountToken, containers } = spec.template.spec;
      assert.equal(securityContext.runAsNonRoot, true);
      assert.ok(securityContext.runAsUser > 0);
      assert.deepEqual(securityContext.seccompProfile, { type: "RuntimeDefault" });
      assert.equal(automountServiceAccountToken, false);
      for (const { securityContext: own, livenessProbe, readinessProbe, resources } of containers) {
        const restricted = {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ["ALL"] },
        };
        assert.deepEqual(own, restricted);
        assert.ok(livenessProbe.httpGet.path === "/livez" && readinessProbe.httpGet.path === "/readyz");
        assert.ok(resources.limits.memory);
      }
    }
    const kinds = all.map(({ kind }) => kind as string);
    assert.ok(!kinds.includes("Secret"));
    for (const kind of ["PodDisruptionBudget", "NetworkPolicy"])
      assert.equal(kinds.filter((one) => one === kind).length, 2, kind);
  });
});
