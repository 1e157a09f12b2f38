import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";

import { startHub, startS3Double } from "@pullring/testkit";

import { makeCertificates } from "../real/certificates.ts";
import { freePort } from "../real/listening.ts";
import { needs } from "../real/needs.ts";
import { asDockerHub, startPullring } from "../real/pullring.ts";
import { needsRedis, startRedis } from "../real/redis.ts";

const main = fileURLToPath(new URL("../../packages/cli/src/main.ts", import.meta.url));

interface Diagnosis {
  readonly code: number;
  /** `status: what was found`, by the check's name. */
  readonly found: Readonly<Record<string, string>>;
}

const doctor = (...args: readonly string[]): Promise<Diagnosis> =>
  new Promise((resolve, reject) => {
    const child = execFile(
      process.execPath,
      [main, "doctor", "--json", ...args],
      { timeout: 60_000 },
      (_error, out) => {
        try {
          const { ok, checks } = JSON.parse(out) as {
            ok: boolean;
            checks: { name: string; status: string; found: string }[];
          };
          const code = child.exitCode ?? -1;
          assert.equal(code === 0, ok);
          resolve({
            code,
            found: Object.fromEntries(checks.map(({ name, status, found }) => [name, `${status}: ${found}`])),
          });
        } catch (error) {
          reject(error);
        }
      },
    );
  });

/** What the machine that runs the tests has is no part of them. */
const ofThisSetUp = ({ found }: Diagnosis): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(found).filter(([name]) => !/ here$|address$/.test(name)));

describe("pullring doctor", { skip: needsRedis() || needs("openssl") }, () => {
  test("finds nothing to fail in a node that is well, running or not, and what is wrong in one that is not", async () => {
    await using stack = new AsyncDisposableStack();
    const dir = stack.use(await mkdtempDisposable(join(tmpdir(), "pullring-doctor-"))).path;
    const account = { username: "ann", password: "right" };
    const hub = await startHub({ accounts: [account] });
    stack.defer(() => hub.close());
    hub.content.addImage({ repository: "ratelimitpreview/test", tag: "latest", layers: [{ a: "b" }] });
    const s3 = await startS3Double();
    stack.defer(() => s3.close());
    const redis = stack.use(await startRedis());
    const { cert, key, ca } = await makeCertificates(dir);
    const peerHost = `127.0.0.1:${await freePort()}`;
    const sections = {
      upstreams: asDockerHub(hub),
      tls: { cert, key },
      accounts: [{ name: "ours", upstream: "docker.io", ...account }],
      cluster: { redis: { url: redis.url }, peer: { listen: peerHost, url: `http://${peerHost}` } },
    };
    const bucket = { bucket: "images", endpoint: s3.endpoint, region: "r", forcePathStyle: true, accessKeyId: "k" };
    const storage = { s3: { ...bucket, secretAccessKey: "s" } };
    const node = stack.use(await startPullring({ dir, config: { ...sections, storage } }));
    const file = join(dir, "pullring.yaml");

    const well = await doctor("--config", file, "--url", node.url, "--ca", ca);
    const statuses = Object.entries(ofThisSetUp(well)).map(([name, text]) => `${name} ${text.split(":")[0]}`);
    assert.deepEqual(statuses, [
      "configuration ok",
      "port of listen ok",
      "port of admin.listen ok",
      "port of cluster.peer.listen warn",
      "disk ok",
      // Debian's own repairs do not show in its version.
      ...statuses.filter((line) => /^Redis (?:ok|warn)$/.test(line)),
      "S3 ok",
      "upstream docker.io ok",
      "clock ok",
      "account ours ok",
      "quota of ours ok",
      // The certificate of this test ends in two days.
      "mirror's TLS warn",
      "mirror ok",
    ]);
    assert.equal(well.code, Object.values(well.found).some((text) => text.startsWith("fail")) ? 1 : 0);
    assert.match(well.found["port of listen"] ?? "", /served by Pullring/);
    assert.match(well.found["quota of ours"] ?? "", /200 of 200 pulls left/);
    assert.match(well.found["S3"] ?? "", /came back, and is removed/);

    await node.stop();
    await redis.ask("CONFIG SET maxmemory-policy allkeys-lru");
    s3.faults.push({ fault: { status: 403, code: "AccessDenied" }, times: 1_000 });
    hub.knobs.accounts = [{ ...account, password: "changed" }];
    await writeFile(join(dir, "no-folder"), "");
    const sick = { ...sections, listen: node.host, admin: { listen: "127.0.0.1:0" } };
    const disk = { path: join(dir, "no-folder"), size: "1GiB" };
    await writeFile(file, JSON.stringify({ ...sick, storage: { ...storage, disk } }));
    const ill = await doctor("--config", file, "--url", node.url);
    assert.equal(ill.code, 1);
    for (const [name, words] of [
      ["port of listen", /^ok: .* is free/],
      ["disk", /^fail: .*can't be written/],
      ["Redis", /^fail: maxmemory-policy is allkeys-lru/],
      ["S3", /^fail: images: S3 refuses/],
      ["account ours", /^fail: .* refuses the login of ours/],
      ["mirror's TLS", /^fail: no TLS with .*ECONNREFUSED/],
      ["mirror", /^fail: .*ECONNREFUSED/],
      ["upstream docker.io", /^ok/],
    ] as const) {
      assert.match(ill.found[name] ?? "", words);
    }
  });

  test("a configuration that is wrong, a mirror's address with a path and a Redis that is away fail by their names", async () => {
    await using dir = await mkdtempDisposable(join(tmpdir(), "pullring-doctor-"));
    const file = join(dir.path, "pullring.yaml");
    await writeFile(file, "listen: nowhere\n");
    const wrong = await doctor("--config", file, "--url", "http://mirror.example.org:5000/docker.io");
    assert.equal(wrong.code, 1);
    assert.match(wrong.found["configuration"] ?? "", /^fail: The configuration has a problem/);
    assert.match(wrong.found["mirror's address"] ?? "", /^fail: .*has a path/);
    await mkdir(join(dir.path, "disk"));
    const nowhere = "127.0.0.1:9";
    const offline = { "docker.io": { offline: true } };
    const peer = { listen: "127.0.0.1:0", url: "http://127.0.0.1:5002" };
    const config = { listen: "127.0.0.1:0", admin: { listen: "127.0.0.1:0" }, upstreams: offline };
    const cluster = { redis: { url: `redis://${nowhere}` }, peer };
    const storage = { disk: { path: join(dir.path, "disk"), size: "1MiB" } };
    await writeFile(file, JSON.stringify({ ...config, cluster, storage }));
    const { code, found } = await doctor("--config", file);
    assert.equal(code, 1);
    assert.match(found["Redis"] ?? "", /^fail: no use of Redis/);
    assert.match(found["upstream docker.io"] ?? "", /offline/);
  });
});
