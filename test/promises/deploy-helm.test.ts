import assert from "node:assert/strict";
import { mkdir, mkdtempDisposable, readdir, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { suite, test } from "node:test";
import { fileURLToPath } from "node:url";

import { readDocument } from "../../packages/server/src/config/document.ts";
import { loadConfig, type Config } from "../../packages/server/src/config/index.ts";
import { chart, examples, helm, needsHelm, render, type Rendered, type Tree } from "../real/helm.ts";
import { typeErrorsOf } from "../real/kubernetes-types.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const text = (path: string): Promise<string> => readFile(join(root, "deploy", path), "utf8");
const serversOf = (conf: string): string[] =>
  [...conf.matchAll(/^\s*server ([^\s;]+) resolve fail_timeout=2s;$/gm)].map(([, name = ""]) => name);

const valuesOf = async (example: string): Promise<Tree> =>
  readDocument(await readFile(join(examples, example), "utf8"), example).tree as Tree;

/** A chart reaches no file outside itself, so it has copies. */
const copies = {
  "ring-key.conf": "nginx/ring-key.conf",
  "proxy.conf": "nginx/proxy.conf",
  "alerts.yml": "prometheus/alerts.yml",
  "dashboard.json": "grafana/pullring.json",
};

test("the chart's copies of the balancer, the alerts and the dashboard are the ones that are tested", async () => {
  for (const [copy, of] of Object.entries(copies))
    assert.equal(await text(`helm/pullring/files/${copy}`), await text(of), `copy deploy/${of} to files/${copy}`);
});

/** What a node makes of the file that the chart writes, with every secret that the file names in its place. */
async function configOf(of: Rendered["of"], folder: string): Promise<Config> {
  const mounts = of("StatefulSet", "pullring").spec.template.spec.containers[0].volumeMounts as Tree[];
  const written = of("ConfigMap", "pullring-node").data["pullring.yaml"] as string;
  for (const [, path = ""] of written.matchAll(/: (\/etc\/\S+)$/gm)) {
    assert.ok(
      mounts.some(({ mountPath }) => path.startsWith(`${mountPath}/`)),
      `${path} is not mounted`,
    );
    await mkdir(join(folder, dirname(path)), { recursive: true });
    await writeFile(join(folder, path), "secret");
  }
  const file = join(folder, "pullring.yaml");
  await writeFile(file, written.replaceAll("/etc/", `${folder}/etc/`));
  const env = { PULLRING_NODE__RING_NAME: "pullring-0:5000", PULLRING_STORAGE__DISK__PATH: folder };
  return loadConfig({ file, env, hostname: "pullring-0" });
}

suite("deploy/helm", { skip: needsHelm() }, () => {
  test("lints, and refuses what does not fit", async () => {
    await helm("lint", "--strict", chart);
    await assert.rejects(render("--set", "replicas=11"), /maxReplicas/);
    await assert.rejects(
      render("--set", "autoscaling.enabled=true,autoscaling.minReplicas=11"),
      /minReplicas is above maxReplicas/,
    );
    await assert.rejects(render("--set", "redis.bundled.enabled=true"), /wants a password/);
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
    const config = await configOf(of, folder.path);
    assert.equal(config.storage.s3?.bucket, "images");
    assert.equal(config.storage.memoryBytesMax, 1024 ** 3);
  });

  test("makes of every example what the API of Kubernetes takes, and a configuration that nodes take", async () => {
    const names = await readdir(examples);
    assert.ok(names.length >= 4);
    const all: Tree[] = [];
    for (const name of names) {
      await using folder = await mkdtempDisposable(join(tmpdir(), "pullring-chart-"));
      const rendered = await render("--values", join(examples, name));
      all.push(...rendered.all);
      const config = await configOf(rendered.of, folder.path);
      assert.ok(config.cluster?.redis, name);
      const { maxReplicas = 10 } = await valuesOf(name);
      assert.equal(serversOf(rendered.of("ConfigMap", "pullring-balancer").data["nginx.conf"]).length, maxReplicas);
    }
    assert.equal(await typeErrorsOf(all), "");
    const kinds = new Set(all.map(({ kind }) => kind as string));
    for (const kind of ["HorizontalPodAutoscaler", "ServiceMonitor", "PrometheusRule"])
      assert.ok(kinds.has(kind), kind);
    const [first, ...others] = all;
    const wrong = { ...first, spec: { ...first?.["spec"], nosuch: 1 } };
    assert.match(await typeErrorsOf([wrong, ...others]), /nosuch/);
  });

  test("brings its own Redis and S3 where it is asked to, for nodes alone", async () => {
    const { of } = await render("--values", join(examples, "all-in-one.yaml"));
    for (const [name, port] of [
      ["pullring-redis", 6379],
      ["pullring-s3", 7070],
    ] as const) {
      const written = of("ConfigMap", "pullring-node").data["pullring.yaml"] as string;
      assert.ok(written.includes(`${name}:${port}`), written);
      assert.equal(of("Service", name).spec.ports[0].port, port);
      const { ingress } = of("NetworkPolicy", name).spec;
      assert.equal(ingress[0].from[0].podSelector.matchLabels["app.kubernetes.io/component"], "node");
    }
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
