import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, mkdtempDisposable, readdir, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { suite, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { eventually, type Hub, startHub, startS3Double } from "@pullring/testkit";

import { startRegistry } from "../real/docker-registry.ts";
import { needs } from "../real/needs.ts";
import { asDockerHub, startPullring } from "../real/pullring.ts";
import { walk } from "../real/walk.ts";

const execute = promisify(execFile);
const main = fileURLToPath(new URL("../../packages/cli/src/main.ts", import.meta.url));

interface Images {
  /** Repository → tag. */
  readonly [repository: string]: string;
}

function fill({ content }: Hub): Images {
  content.addIndex({
    repository: "library/app",
    tag: "1",
    platforms: ["linux/amd64", "linux/arm64"],
    layers: [900_000, 1000, 30],
  });
  content.addImage({ repository: "acme/tools", tag: "latest", layers: [2_000_000, 1], format: "docker" });
  content.addArtifact({ repository: "acme/chart", tag: "0.1.0", size: 5_000 });
  return { "library/app": "1", "acme/tools": "latest", "acme/chart": "0.1.0" };
}

async function filesOf(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
}

const walkAll = async (base: string, images: Images): Promise<Readonly<Record<string, string>>[]> =>
  Promise.all(Object.entries(images).map(([repository, tag]) => walk(`${base}/v2/${repository}`, tag)));

/** What a real registry has on its disk once it was a cache for every image. Resolves to what its clients got. */
async function fillRegistry(hub: Hub, dir: string, images: Images) {
  await mkdir(dir, { recursive: true });
  await using registry = await startRegistry({ dir, proxyOf: hub.url });
  const data = join(dir, "data");
  const got = await walkAll(registry.url, images);
  // It stores what it has served a moment later, and then takes long to end.
  const digests = new Set(got.flatMap((came) => Object.values(came).map((what) => what.slice(7, 71))));
  await eventually(async () => {
    // Meanwhile it removes folders of its own, at times just when they are listed.
    const files = await filesOf(data).catch(() => []);
    const has = (part: string): boolean => files.some((file) => file.includes(part));
    const linked = files.filter((file) => file.endsWith("/current/link")).length;
    return linked === got.length && [...digests].every((hex) => has(`/${hex}/data`));
  });
  registry.kill("SIGKILL");
  return { got, data };
}

async function importInto(dir: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  await mkdir(dir, { recursive: true });
  const file = join(dir, "import.yaml");
  await writeFile(file, JSON.stringify({ storage: { disk: { path: join(dir, "disk") } } }));
  const command = [main, "import", ...args, "--config", file, "--json"];
  const { stdout } = await execute(process.execPath, command, { env: { ...process.env, ...env } });
  return JSON.parse(stdout) as { blobs: Record<string, number>; tags: number; manifests: number; leftOut: number };
}

/** Pulls everything through a node on that disk and counts what it had to ask for. */
async function pullThrough(hub: Hub, dir: string, images: Images) {
  hub.ledger.clear();
  await using pullring = await startPullring({ dir, config: { upstreams: asDockerHub(hub) } });
  const got = await walkAll(pullring.url, images);
  return { got, gets: hub.ledger.count({ kind: ["blob_get", "blob_range", "manifest_get"] }) };
}

suite("pullring import", { skip: needs("docker-registry"), timeout: 240_000 }, () => {
  test("takes over a folder: no blob and no manifest is fetched again", async () => {
    await using folder = await mkdtempDisposable(join(tmpdir(), "pullring-import-"));
    await using hub = Object.assign(await startHub({ cdnHeadStatus: 200 }), {
      [Symbol.asyncDispose]: (): Promise<void> => hub.close(),
    });
    const images = fill(hub);
    const { got, data } = await fillRegistry(hub, join(folder.path, "registry"), images);
    for (const how of ["--link", "--public"]) {
      const dir = join(folder.path, how);
      const summary = await importInto(dir, [data, how]);
      assert.ok((summary.blobs[how === "--link" ? "linked" : "copied"] ?? 0) >= 10);
      assert.deepEqual([summary.tags, summary.leftOut, summary.blobs["wrong"]], [3, 0, 0]);
      assert.deepEqual(await pullThrough(hub, dir, images), { got, gets: 0 });
    }
    const again = await importInto(join(folder.path, "--link"), [data]);
    assert.deepEqual([again.blobs["linked"], again.blobs["copied"]], [0, 0]);
  });

  test("takes over a bucket", async () => {
    await using folder = await mkdtempDisposable(join(tmpdir(), "pullring-import-"));
    await using hub = Object.assign(await startHub({ cdnHeadStatus: 200 }), {
      [Symbol.asyncDispose]: (): Promise<void> => hub.close(),
    });
    const s3 = Object.assign(await startS3Double({ keysMax: 7 }), {});
    await using _ = { [Symbol.asyncDispose]: (): Promise<void> => s3.close() };
    const images = fill(hub);
    const { got, data } = await fillRegistry(hub, join(folder.path, "registry"), images);
    await upload(data, s3.endpoint);
    const dir = join(folder.path, "node");
    const place = ["s3://old/cache", "--endpoint", s3.endpoint, "--path-style"];
    const summary = await importInto(dir, place, { AWS_ACCESS_KEY_ID: "id", AWS_SECRET_ACCESS_KEY: "secret" });
    assert.deepEqual([summary.tags, summary.leftOut], [3, 0]);
    assert.deepEqual(await pullThrough(hub, dir, images), { got, gets: 0 });
  });

  test("leaves out what is rotten and says so, and does not touch a disk that is in use", async () => {
    await using folder = await mkdtempDisposable(join(tmpdir(), "pullring-import-"));
    await using hub = Object.assign(await startHub({ cdnHeadStatus: 200 }), {
      [Symbol.asyncDispose]: (): Promise<void> => hub.close(),
    });
    const images = fill(hub);
    const { data, got } = await fillRegistry(hub, join(folder.path, "registry"), images);
    const rotten = Object.keys(got[1] ?? {}).find((path) => path.startsWith("blobs/")) ?? "";
    const hex = rotten.slice("blobs/sha256:".length);
    const file = join(data, "docker/registry/v2/blobs/sha256", hex.slice(0, 2), hex, "data");
    const bytes = await readFile(file);
    bytes[0] = (bytes[0] ?? 0) ^ 1;
    await writeFile(file, bytes);
    const dir = join(folder.path, "node");
    await assert.rejects(importInto(dir, [data]), { code: 5, stdout: /"wrong": 1/ });
    const pulled = await pullThrough(hub, dir, images);
    assert.deepEqual([pulled.got, pulled.gets], [got, 1]);
    await using pullring = await startPullring({ dir, config: { upstreams: asDockerHub(hub) } });
    await assert.rejects(importInto(dir, [data]), { code: 2, stderr: /in use: stop the node first/ });
    assert.ok(pullring.isRunning);
    await assert.rejects(importInto(join(folder.path, "other"), [folder.path]), {
      code: 2,
      stderr: /there is nothing/,
    });
  });
});

/** As somebody's own copy would put it there. */
async function upload(data: string, endpoint: string): Promise<void> {
  for (const path of await filesOf(data)) {
    const target = `${endpoint}/old/cache/${encodeURI(relative(data, path))}`;
    const answer = await fetch(target, { method: "PUT", body: await readFile(path) });
    assert.equal(answer.status, 200);
  }
}
