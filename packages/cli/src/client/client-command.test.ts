import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";

import { testCertificates } from "@pullring/testkit";
import { parse } from "smol-toml";
import { parse as parseYaml } from "yaml";

import { run } from "../run.ts";

const url = "http://mirror.example.org:5000";
const caText = testCertificates().ca;
const caPath = join(mkdtempSync(join(tmpdir(), "pullring-client-")), "ca.pem");
writeFileSync(caPath, caText);
after(() => rmSync(dirname(caPath), { recursive: true }));

async function pullring(...args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ["", ""];
  const code = await run(args, { out: (text) => void (out += text), err: (text) => void (err += text) });
  return { code, out, err };
}

/** Without the bare prototypes that the parser gives its tables. */
const parseToml = (text: string) => JSON.parse(JSON.stringify(parse(text))) as Record<string, object>;

/** The files by their paths, as `--json` tells them. */
async function filesOf(...args: readonly string[]): Promise<Record<string, string>> {
  const { code, out, err } = await pullring("client", ...args, "--json");
  assert.equal(code, 0, err);
  const files = JSON.parse(out) as { path: string; contents: string }[];
  return Object.fromEntries(files.map(({ path, contents }) => [path, contents]));
}

const secure = ["--url", "https://mirror.example.org", "--ca", caPath] as const;

const names = [
  "docker",
  "containerd",
  "kubernetes",
  "podman",
  "cri-o",
  "buildkit",
  "k3s",
  "nomad",
  "cloud-init",
  "gitlab-runner",
  "circleci",
];

for (const name of names) {
  test(`client ${name}: what stdout has is the file's text alone where there is one file, else every text under its path`, async () => {
    for (const args of [["--url", url], secure]) {
      const files = Object.entries(await filesOf(name, ...args));
      const { code, out, err } = await pullring("client", name, ...args);
      assert.equal(code, 0);
      if (files.length === 1) assert.equal(out, files[0]?.[1]);
      else assert.equal(out, files.map(([path, contents]) => `#### ${path}\n${contents}`).join("\n"));
      for (const head of ["Write to:", "Then:", "Check:", "Know:"]) assert.match(err, new RegExp(`^${head}$`, "m"));
      for (const [path] of files) assert.ok(err.includes(`  ${path}\n`), path);
    }
  });
}

test("docker: one key, and the authority where the engine looks for it", async () => {
  for (const name of ["docker", "nomad"]) {
    assert.deepEqual(JSON.parse((await filesOf(name, "--url", url))["/etc/docker/daemon.json"] ?? ""), {
      "registry-mirrors": [url],
    });
    const files = await filesOf(name, "--url", "https://mirror.example.org:8443/", "--ca", caPath);
    assert.equal(files["/etc/docker/certs.d/mirror.example.org:8443/ca.crt"], caText);
  }
});

test("containerd: a hosts.toml for each registry, which goes to the registry itself when the mirror fails", async () => {
  const files = await filesOf("containerd", ...secure, "--upstream", "docker.io", "--upstream", "registry.local:5000");
  const capabilities = ["pull", "resolve"];
  const host = { "https://mirror.example.org": { capabilities, ca: "/etc/containerd/pullring-ca.pem" } };
  const parsed = (upstream: string) => parseToml(files[`/etc/containerd/certs.d/${upstream}/hosts.toml`] ?? "");
  assert.deepEqual(parsed("docker.io"), { server: "https://registry-1.docker.io", host });
  assert.deepEqual(parsed("registry.local:5000"), { server: "https://registry.local:5000", host });
  assert.equal(files["/etc/containerd/pullring-ca.pem"], caText);
});

test("podman: the registry stands in the mirror's location, and only plain http is insecure", async () => {
  const path = "/etc/containers/registries.conf.d/50-pullring.conf";
  const plain = await filesOf("podman", "--url", url, "--upstream", "docker.io", "--upstream", "ghcr.io");
  assert.deepEqual(parseToml(plain[path] ?? ""), {
    registry: ["docker.io", "ghcr.io"].map((name) => ({
      prefix: name,
      location: name,
      mirror: [{ location: `mirror.example.org:5000/${name}`, insecure: true }],
    })),
  });
  const withCa = await filesOf("podman", ...secure);
  assert.doesNotMatch(withCa[path] ?? "", /insecure/);
  assert.equal(withCa["/etc/containers/certs.d/mirror.example.org/ca.crt"], caText);
});

test("buildkit: how to reach the mirror stands under the mirror's own name", async () => {
  const path = "/etc/buildkit/buildkitd.toml";
  const plain = await filesOf("buildkit", "--url", url, "--upstream", "docker.io", "--upstream", "quay.io");
  assert.deepEqual(parseToml(plain[path] ?? ""), {
    registry: {
      "docker.io": { mirrors: ["mirror.example.org:5000"] },
      "quay.io": { mirrors: ["mirror.example.org:5000"] },
      "mirror.example.org:5000": { http: true },
    },
  });
  const ca = "/etc/buildkit/pullring-ca.pem";
  const withCa = await filesOf("buildkit", ...secure);
  assert.deepEqual(parseToml(withCa[path] ?? ""), {
    registry: { "docker.io": { mirrors: ["mirror.example.org"] }, "mirror.example.org": { http: false, ca: [ca] } },
  });
  assert.equal(withCa[ca], caText);
  const trusted = await filesOf("buildkit", "--url", "https://mirror.example.org");
  assert.match(trusted[path] ?? "", /^\[registry\."mirror\.example\.org"\]\nhttp = false\n$/m);
});

test("k3s: mirrors by registry, the authority by the mirror's host", async () => {
  const files = await filesOf("k3s", ...secure, "--upstream", "docker.io", "--upstream", "registry.k8s.io");
  const mirror = { endpoint: ["https://mirror.example.org"] };
  assert.deepEqual(parseYaml(files["/etc/rancher/k3s/registries.yaml"] ?? ""), {
    mirrors: { "docker.io": mirror, "registry.k8s.io": mirror },
    configs: { "mirror.example.org": { tls: { ca_file: "/etc/rancher/k3s/pullring-ca.pem" } } },
  });
});

test("cloud-init: writes exactly what the clients on the machine get from their own commands", async () => {
  const args = [...secure, "--upstream", "docker.io", "--upstream", "ghcr.io"];
  const text = (await filesOf("cloud-init", ...args))["user-data"] ?? "";
  assert.match(text, /^#cloud-config\n/);
  const { write_files: written, runcmd } = parseYaml(text) as {
    write_files: { path: string; content: string; permissions: string }[];
    runcmd: unknown[];
  };
  const expected = {
    ...(await filesOf("docker", ...secure)),
    ...(await filesOf("containerd", ...args)),
    ...(await filesOf("podman", ...args)),
  };
  assert.deepEqual(Object.fromEntries(written.map(({ path, content }) => [path, content])), expected);
  assert.ok(written.every(({ permissions }) => permissions === "0644"));
  assert.equal(runcmd.length, 1);
  const others = await filesOf("cloud-init", "--url", url, "--upstream", "ghcr.io");
  assert.doesNotMatch(others["user-data"] ?? "", /daemon\.json/);
});

test("gitlab-runner: the engine inside a job gets the mirror as well as the host's", async () => {
  const files = await filesOf("gitlab-runner", ...secure);
  const inner = "/etc/gitlab-runner/dind/daemon.json";
  assert.equal(files[inner], files["/etc/docker/daemon.json"]);
  const parsed = parseToml(files["/etc/gitlab-runner/config.toml"] ?? "") as {
    runners: { docker: { volumes: string[] } }[];
  };
  assert.deepEqual(parsed.runners[0]?.docker.volumes, [
    "/cache",
    `${inner}:/etc/docker/daemon.json:ro`,
    "/etc/docker/certs.d:/etc/docker/certs.d:ro",
  ]);
});

test("circleci: the step adds the mirror to what the machine's file has, and restarts the engine", async (t) => {
  await using dir = await mkdtempDisposable(join(tmpdir(), "pullring-circleci-"));
  const text = (await filesOf("circleci", ...secure))[".circleci/config.yml"] ?? "";
  assert.ok(!text.includes("<<"), "`<<` begins a parameter");
  const parsed = parseYaml(text) as {
    version: number;
    commands: { "use-pullring": { steps: { run: { command: string } }[] } };
    jobs: { build: { machine: unknown; steps: unknown[] } };
  };
  assert.equal(parsed.version, 2.1);
  assert.ok(parsed.jobs.build.steps.includes("use-pullring"));
  const command = parsed.commands["use-pullring"].steps[0]?.run.command ?? "";
  if (!existsTool("jq")) return t.diagnostic("no jq here: the step was parsed, and not run");
  const etc = join(dir.path, "etc");
  mkdirSync(join(dir.path, "bin"));
  mkdirSync(etc);
  writeFileSync(join(dir.path, "bin/sudo"), '#!/bin/sh\nexec "$@"\n', { mode: 0o755 });
  writeFileSync(join(dir.path, "bin/systemctl"), `#!/bin/sh\necho "$@" >>${dir.path}/restarted\n`, { mode: 0o755 });
  const env = { ...process.env, PATH: `${dir.path}/bin:${process.env["PATH"]}` };
  for (const [before, kept] of [
    ['{"dns":["10.0.0.1"]}', { dns: ["10.0.0.1"] }],
    [undefined, {}],
  ] as const) {
    if (before !== undefined) writeFileSync(join(etc, "daemon.json"), before);
    // `-e` and `pipefail` as CircleCI runs its steps.
    execFileSync("bash", ["-eo", "pipefail", "-c", command.replaceAll("/etc/docker", etc)], { env, stdio: "pipe" });
    assert.deepEqual(JSON.parse(readFileSync(join(etc, "daemon.json"), "utf8")), {
      ...kept,
      "registry-mirrors": ["https://mirror.example.org"],
    });
    assert.equal(readFileSync(join(etc, "certs.d/mirror.example.org/ca.crt"), "utf8"), caText);
    execFileSync("rm", [join(etc, "daemon.json")]);
  }
  assert.equal(readFileSync(join(dir.path, "restarted"), "utf8"), "restart docker\n".repeat(2));
});

function existsTool(name: string): boolean {
  try {
    execFileSync("sh", ["-c", `command -v ${name}`], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

for (const [what, args, words] of [
  ["no client", [], /what is missing: a client: docker, containerd/],
  ["an unknown client", ["dockre", "--url", url], /"dockre" is none of docker/],
  ["a name of every object", ["constructor", "--url", url], /"constructor" is none of docker/],
  ["no address", ["docker"], /--url is missing/],
  ["an address without its scheme", ["docker", "--url", "mirror:5000"], /write http:\/\/HOST:PORT/],
  ["another scheme", ["docker", "--url", "ftp://mirror"], /http or https, not ftp/],
  ["a path, for Docker", ["docker", "--url", `${url}/docker.io`], /has a path.*older Docker engines do not start/],
  ["a path, for containerd", ["containerd", "--url", `${url}/v2`], /has a path/],
  ["a login in the address", ["podman", "--url", "http://u:secret@mirror:5000"], /--url holds a login/],
  ["a query", ["podman", "--url", `${url}/?ns=docker.io`], /"\?ns=docker\.io" behind the address/],
  ["an address to listen on", ["k3s", "--url", "http://0.0.0.0:5000"], /0\.0\.0\.0 is where a node listens/],
  ["another registry for Docker", ["docker", "--url", url, "--upstream", "ghcr.io"], /org:5000\/ghcr\.io\/OWNER/],
  ["a registry that is no name", ["k3s", "--url", url, "--upstream", 'a"b'], /is no registry's name/],
  ["a registry with a path", ["k3s", "--url", url, "--upstream", "ghcr.io/owner"], /is no registry's name/],
  ["an authority for plain http", ["docker", "--url", url, "--ca", caPath], /plain http has no certificate/],
  ["a missing authority", ["docker", ...secure.slice(0, 3), "/does/not/exist"], /\(ENOENT\)/],
  ["an authority that is none", ["docker", ...secure.slice(0, 3), import.meta.filename], /PEM certificate/],
  ["an option that there is not", ["docker", "--url", url, "--mirror", "x"], /Unknown option '--mirror'/],
] as const) {
  test(`${what}: exit code 2, the reason on stderr, nothing on stdout`, async () => {
    const { code, out, err } = await pullring("client", ...args);
    assert.deepEqual([code, out], [2, ""]);
    assert.match(err, words);
    assert.ok(!err.includes("secret"));
  });
}

test("an address of this machine alone is told as such", async () => {
  assert.match((await pullring("client", "docker", "--url", "http://localhost:5000")).err, /this machine alone/);
  assert.doesNotMatch((await pullring("client", "docker", "--url", url)).err, /this machine alone/);
});
