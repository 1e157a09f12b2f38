import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempDisposable, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { connect } from "node:tls";
import { fileURLToPath } from "node:url";

import { ask, eventually, testCertificates } from "@pullring/testkit";

import { open, pull } from "../real/http.ts";
import { startProgram } from "../real/program.ts";
import { openRaw } from "./raw.ts";
import { startRig } from "./rig.ts";

const MB = 1_000_000;

const main = fileURLToPath(new URL("../../packages/cli/src/main.ts", import.meta.url));

/** Starts a process by this configuration, which can't work, and waits for its end. */
async function failToStart(config: object) {
  await using dir = await mkdtempDisposable(join(tmpdir(), "pullring-start-"));
  const file = join(dir.path, "pullring.yaml");
  await writeFile(file, JSON.stringify({ storage: { disk: { path: join(dir.path, "disk") } }, ...config }));
  const args = [main, "serve", "--config", file];
  await using program = startProgram({ command: process.execPath, args, logFile: join(dir.path, "log") });
  const { code } = await program.ended;
  return { code, said: program.logs() };
}

describe("the process", { concurrency: true }, () => {
  test("that can't listen, on either of its addresses, says so and ends", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const busy = `127.0.0.1:${(taken.address() as AddressInfo).port}`;
    const free = "127.0.0.1:0";
    // What a member of a cluster has opened by then must not keep it.
    const members = [{ id: "n1", url: "http://127.0.0.1:1" }];
    const peer = { listen: free, url: "http://127.0.0.1:1", secret: "s".repeat(32) };
    for (const more of [
      { listen: busy, admin: { listen: free } },
      { listen: free, admin: { listen: busy } },
      { listen: busy, admin: { listen: free }, node: { id: "n1" }, cluster: { members, peer } },
    ]) {
      const { code, said } = await failToStart(more);
      assert.equal(code, 1);
      assert.match(said, /^pullring can't start: .*EADDRINUSE.*$/m);
    }
    taken.close();
  });

  test("that is configured wrongly says by which keys, all of them, and ends", async () => {
    const { code, said } = await failToStart({ listen: "nowhere", lissten: "x", tags: { fresh: 60 } });
    assert.equal(code, 2);
    for (const key of ["listen", "lissten", "tags.fresh"]) assert.match(said, new RegExp(`^.*\\b${key}\\b.*$`, "m"));
  });

  test("serves TLS by the certificate that its files hold now; who is connected stays so", async () => {
    const { ca, server, renewed } = testCertificates();
    await using rig = await startRig({
      files: { cert: server.cert, key: server.key },
      config: (_, dir) => ({ tls: { cert: join(dir, "cert"), key: join(dir, "key") } }),
    });
    const { hub, pullring, dir } = rig;
    const [host = "", port] = pullring.host.split(":");
    const certificate = (): Promise<string> =>
      new Promise((resolve, reject) => {
        const socket = connect({ host, port: Number(port), ca }, () => {
          resolve(socket.getPeerX509Certificate()?.serialNumber ?? "");
          socket.destroy();
        });
        socket.once("error", reject);
      });
    const { digest } = hub.content.addBlob({ repository: "acme/app", size: 8 * MB });
    const url = rig.blob("acme/app", digest);
    assert.ok(url.startsWith("https:"));
    const before = await certificate();
    const held = await open(url, { ca });

    await writeFile(join(dir, "cert"), renewed.cert);
    await writeFile(join(dir, "key"), renewed.key);
    await eventually(async () => (await certificate()) !== before, { timeoutMs: 60_000, intervalMs: 200 });
    let bytes = 0;
    for await (const chunk of held as AsyncIterable<Buffer>) bytes += chunk.length;
    assert.equal(bytes, 8 * MB);
    assert.equal((await pull(url, { ca })).digest, digest);
    await assert.rejects(pull(url.replace("https:", "http:")));
  });

  test("told to end it is not ready any more, serves what is under way and what still comes, and exits well", async () => {
    await using rig = await startRig();
    const { hub, pullring } = rig;
    const size = 4 * MB;
    const { digest } = hub.content.addBlob({ repository: "acme/app", size });
    const small = hub.content.addImage({ repository: "library/small", tag: "1", layers: [] });
    await pull(rig.manifest("library/small", "1"));
    hub.faults.add({ kind: "cdn_get", reference: digest }, { dripBytesPerSec: 2 * MB });
    const pulled = pull(rig.blob("acme/app", digest));
    await hub.ledger.until(({ kind, bytesSent }) => kind === "cdn_get" && bytesSent > 0);

    pullring.kill("SIGTERM");
    const statusOf = async (url: string): Promise<number> => (await ask(url)).status;
    await eventually(async () => (await statusOf(`${pullring.adminUrl}/readyz`)) === 503);
    assert.equal(await statusOf(`${pullring.url}/readyz`), 503);
    assert.equal(await statusOf(`${pullring.url}/livez`), 200);
    const ping = await ask(`${pullring.url}/v2/`);
    assert.deepEqual([ping.status, ping.headers.connection], [200, "close"]);
    assert.equal((await pull(rig.manifest("library/small", "1"))).digest, small.digest);
    assert.equal(hub.ledger.count({ kind: "cdn_get", done: true }), 0, "the pull has ended too early to tell anything");

    assert.equal((await pulled).digest, digest);
    assert.deepEqual(await pullring.ended, { code: 0, signal: null });
    assert.match(pullring.logs(), /"msg":"stopped"/);
    // What was fetched for it was kept.
    await rig.restart();
    assert.equal((await pull(rig.blob("acme/app", digest))).digest, digest);
    assert.equal(hub.ledger.count({ kind: "cdn_get" }), 1);
  });

  test("told to end it does not wait for who does not come back for the rest of an idle connection", async () => {
    await using rig = await startRig();
    const { pullring } = rig;
    const idle = openRaw(`${pullring.url}/v2/`, { behind: "GET /v2/ HTTP/1.1\r\n" });
    await idle.head;
    pullring.kill("SIGTERM");
    assert.deepEqual(await pullring.ended, { code: 0, signal: null });
    idle.leave();
  });
});
