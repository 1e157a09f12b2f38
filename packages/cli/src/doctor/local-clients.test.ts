import assert from "node:assert/strict";
import { mkdir, mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";

import { run } from "../run.ts";
import { localClientChecks } from "./local-clients.ts";
import { runChecks, type Result } from "./run-checks.ts";

const url = "http://mirror.example.org:5000";
const mirror = { origin: url, host: "mirror.example.org:5000" };

type Files = Readonly<Record<string, string>>;

/** What is found on a machine with these files, by paths from /etc on. */
async function found(files: Files, wanted: typeof mirror | undefined = mirror): Promise<Record<string, Result>> {
  await using dir = await mkdtempDisposable(join(tmpdir(), "pullring-etc-"));
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(dir.path, path)), { recursive: true });
    await writeFile(join(dir.path, path), text);
  }
  const results = await runChecks(await localClientChecks({ etc: dir.path, mirror: wanted }));
  return Object.fromEntries(results.map((result) => [result.name, result]));
}

/** As `pullring client` prints them, below /etc. */
async function printed(client: string, at = url): Promise<Files> {
  let out = "";
  await run(["client", client, "--url", at, "--json"], { out: (text) => void (out += text), err: () => {} });
  const files = JSON.parse(out) as { path: string; contents: string }[];
  return Object.fromEntries(files.map(({ path, contents }) => [path.replace("/etc/", ""), contents]));
}

test("a machine without container clients has nothing to be looked at", async () => {
  assert.deepEqual(await found({ hosts: "" }), {});
});

for (const [client, name] of [
  ["docker", "Docker here"],
  ["containerd", "containerd here"],
  ["podman", "podman here"],
] as const) {
  test(`${client} is fine with what \`pullring client ${client}\` prints, and only for that mirror`, async () => {
    const files = await printed(client);
    assert.equal((await found(files))[name]?.status, "ok");
    assert.equal((await found(files, undefined))[name]?.status, "ok");
    const other = (await found(await printed(client, "http://other.example.org:5000")))[name];
    assert.equal(other?.status, "warn");
    assert.match(other.found, /other\.example\.org:5000/);
    assert.ok(other.advice?.includes(`pullring client ${client} --url ${url}`));
  });

  test(`${client} without a mirror is told, whichever mirror it should be`, async () => {
    const folder = { docker: "docker", containerd: "containerd", podman: "containers" }[client];
    for (const wanted of [mirror, undefined])
      assert.equal((await found({ [`${folder}/other`]: "" }, wanted))[name]?.status, "warn");
  });
}

test("a daemon.json that the engine can't read fails", async () => {
  const finding = (await found({ "docker/daemon.json": '{"registry-mirrors": [' }))["Docker here"];
  assert.equal(finding?.status, "fail");
  for (const text of ["null", "{}", '{"registry-mirrors": "http://mirror"}'])
    assert.equal((await found({ "docker/daemon.json": text }))["Docker here"]?.status, "warn", text);
});

test("Kubernetes' containerd uses certs.d only when its config.toml says so", async () => {
  const files = await printed("containerd");
  const told = (config: string) => found({ ...files, "containerd/config.toml": config });
  assert.equal((await told('config_path = "/etc/containerd/certs.d"'))["containerd here"]?.status, "ok");
  const silent = (await told('version = 2\n#config_path = "/etc/containerd/certs.d"\n'))["containerd here"];
  assert.equal(silent?.status, "warn");
  assert.match(silent.advice ?? "", /config_path/);
});
