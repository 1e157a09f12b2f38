import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { after, before, suite, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { eventually } from "@pullring/testkit";

import { type Cluster, needsCluster, startCluster } from "../real/cluster.ts";
import { open } from "../real/http.ts";
import { MB, blobGets, pullBlob, pullImage, pullWithRetry, ownerOf, others } from "./nodes-rig.ts";

suite("a node that ends in the middle of a fill", { skip: needsCluster(), timeout: 240_000 }, () => {
  let cluster: Cluster;
  before(
    async () =>
      void (cluster = await startCluster({ nodes: 5, balancer: "none", hub: { responseBytesPerSec: 20 * MB } })),
    {
      timeout: 90_000,
    },
  );
  after(() => cluster.stop());

  for (const [how, withinMs] of [
    ["killed", 2_000],
    ["frozen", 17_000],
  ] as const) {
    test(`${how}: clients of the other nodes get their bytes, for one more GET at most, and that a range`, async () => {
      const { hub } = cluster;
      const repository = `acme/${how}`;
      const size = 60 * MB;
      const { digest } = hub.content.addBlob({ repository, size });
      const owner = await ownerOf(cluster, digest);
      const clients = others(cluster, owner).flatMap(({ url }) => Array.from({ length: 10 }, () => url));
      let lastMs = performance.now();
      let stalledMs = 0;
      const pulls = clients.map(async (url, index) => {
        const response = await open(`${url}/v2/${repository}/blobs/${digest}`);
        let bytes = 0;
        for await (const chunk of response as AsyncIterable<Buffer>) {
          bytes += chunk.length;
          if (index > 0) continue;
          stalledMs = Math.max(stalledMs, performance.now() - lastMs);
          lastMs = performance.now();
        }
        return bytes;
      });
      await eventually(
        () => hub.ledger.filter({ repository, kind: "cdn_get" }).some(({ bytesSent }) => bytesSent > size / 2),
        {
          timeoutMs: 20_000,
        },
      );
      const pauses = monitorEventLoopDelay();
      pauses.enable();
      if (how === "killed") await owner.kill();
      else owner.freeze();
      assert.deepEqual(new Set(await Promise.all(pulls)), new Set([size]));
      // The nodes have to share the machine with others as this process has to: it takes them some five turns each.
      const slackMs = (5 * pauses.max) / 1e6;
      const whole = hub.ledger.count({ repository, kind: "cdn_get" });
      const ranges = hub.ledger.count({ repository, kind: "cdn_range" });
      assert.ok(whole === 1 && ranges <= 1, `${whole} whole, ${ranges} ranges`);
      assert.ok(stalledMs < withinMs + slackMs, `no byte for ${stalledMs} ms, of which ${slackMs} are the machine's`);
      await pullBlob(others(cluster, owner)[0]?.url ?? "", repository, digest);
      if (how === "frozen") owner.thaw();
      else await owner.start();
      await cluster.converged(30_000);
    });
  }
});

suite("nodes that come and go", { skip: needsCluster(), timeout: 240_000 }, () => {
  let cluster: Cluster;
  before(async () => void (cluster = await startCluster({ nodes: 3 })), { timeout: 90_000 });
  after(() => cluster.stop());

  test("what only passes through a node is not written there, but for a client that stands still", async () => {
    const { hub } = cluster;
    const repository = "acme/passing";
    const { digest } = hub.content.addBlob({ repository, size: 60 * MB });
    const owner = await ownerOf(cluster, digest);
    await pullBlob(owner.url, repository, digest);
    const [other] = others(cluster, owner);
    assert.ok(other);
    const spool = join(other.pullring.disk, "v1", "spool");
    const sizes = async (): Promise<readonly number[]> =>
      Promise.all((await readdir(spool)).map(async (name) => (await stat(join(spool, name))).size));

    const response = await open(`${other.url}/v2/${repository}/blobs/${digest}`);
    response.pause();
    await sleep(2_000);
    assert.deepEqual(await sizes(), [0]);
    await eventually(async () => (await sizes())[0] === 60 * MB);
    const hash = createHash("sha256");
    for await (const chunk of response as AsyncIterable<Buffer>) hash.update(chunk);
    assert.equal(`sha256:${hash.digest("hex")}`, digest);
    await eventually(async () => (await sizes()).length === 0);
    assert.equal(hub.ledger.count({ repository, kind: [...blobGets] }), 1);
  });

  test("a node is added and two are drained while pulls run: no blob is fetched again, and no pull fails twice", async () => {
    const repositories = Array.from({ length: 12 }, (_, index) => `acme/warm-${index}`);
    for (const repository of repositories)
      cluster.hub.content.addImage({ repository, tag: "1", layers: [100_000, 100_000, 100_000] });
    for (const repository of repositories) await pullImage([cluster.url], repository);
    const blobsBefore = cluster.hub.ledger.count({ kind: [...blobGets] });

    const done = new AbortController();
    let pulls = 0;
    const load = Array.from({ length: 4 }, async (_, worker) => {
      for (let turn = worker; !done.signal.aborted; turn += 1) {
        await pullWithRetry(cluster.url, repositories[turn % repositories.length] ?? "");
        pulls += 1;
        await sleep(5);
      }
    });
    await cluster.add();
    await cluster.converged(3_000);
    for (const id of ["n1", "n2"]) {
      const leaving = cluster.nodes.find((node) => node.id === id);
      assert.ok(leaving);
      await cluster.remove(leaving);
      await cluster.converged(3_000);
    }
    done.abort();
    await Promise.all(load);
    assert.ok(pulls > 50, `${pulls} pulls`);
    for (const repository of repositories)
      await pullImage(
        cluster.nodes.map(({ url }) => url),
        repository,
      );
    assert.equal(cluster.hub.ledger.count({ kind: [...blobGets] }) - blobsBefore, 0);
  });
});
