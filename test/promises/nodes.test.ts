import assert from "node:assert/strict";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { after, before, suite, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { eventually, mediaTypes } from "@pullring/testkit";

import { startCluster, needsCluster, type Cluster } from "../real/cluster.ts";
import type { ClusterNode } from "../real/cluster-node.ts";
import { open, pull, type Pulled } from "../real/http.ts";

const MB = 1_000_000;
const accept = [mediaTypes.ociIndex, mediaTypes.ociManifest].join(", ");
const blobGets = ["blob_get", "blob_range"] as const;

interface Manifest {
  readonly config: { readonly digest: string };
  readonly layers: readonly { readonly digest: string }[];
}

async function pullBlob(base: string, repository: string, digest: string): Promise<Pulled> {
  const answer = await pull(`${base}/v2/${repository}/blobs/${digest}`);
  assert.deepEqual([answer.status, answer.digest], [200, digest]);
  return answer;
}

/** As a client pulls: the tag, then all that its manifest names. Each address is asked in turn. */
async function pullImage(bases: readonly string[], repository: string): Promise<void> {
  const [base = ""] = bases;
  const answer = await pull(`${base}/v2/${repository}/manifests/1`, { headers: { accept } });
  assert.equal(answer.status, 200);
  const { config, layers } = JSON.parse(answer.head.toString()) as Manifest;
  for (const [index, { digest }] of [config, ...layers].entries())
    await pullBlob(bases[(index + 1) % bases.length] ?? base, repository, digest);
}

/** The same, once more where it failed. */
async function pullWithRetry(base: string, repository: string): Promise<void> {
  await pullImage([base], repository).catch(() => pullImage([base], repository));
}

const counted = (cluster: Cluster, repository: string) => ({
  blobs: cluster.hub.ledger.count({ repository, kind: [...blobGets] }),
  manifests: cluster.hub.ledger.count({ repository, kind: "manifest_get" }),
});

/** The node that all nodes take for the owner of this key. */
async function ownerOf(cluster: Cluster, key: string): Promise<ClusterNode> {
  const [asked] = cluster.nodes;
  const answer = await pull(`${asked?.adminUrl}/admin/v1/ring/owner?key=${encodeURIComponent(key)}`);
  const { owner } = JSON.parse(answer.head.toString()) as { owner: string };
  const found = cluster.nodes.find(({ id }) => id === owner);
  assert.ok(found);
  return found;
}

const others = (cluster: Cluster, node: ClusterNode): readonly ClusterNode[] =>
  cluster.nodes.filter((each) => each !== node && each.isRunning);

suite("five nodes", { skip: needsCluster(), timeout: 240_000 }, () => {
  let cluster: Cluster;
  before(async () => void (cluster = await startCluster({ nodes: 5 })), { timeout: 90_000 });
  after(() => cluster.stop());

  const layers = [1_000, 20_000, 100_000, 200_000, 300_000, 500_000, MB, 2 * MB];

  for (const through of ["the balancer", "any node"] as const) {
    test(`200 clients of a cold image through ${through} cost one GET for each blob and one counted GET of its manifest`, async () => {
      const repository = through === "any node" ? "acme/anywhere" : "acme/balanced";
      cluster.hub.content.addImage({ repository, tag: "1", layers });
      const nodes = cluster.nodes.map(({ url }) => url);
      const basesOf = (client: number): readonly string[] =>
        through === "any node" ? [...nodes.slice(client % 5), ...nodes.slice(0, client % 5)] : [cluster.url];
      await Promise.all(Array.from({ length: 200 }, (_, client) => pullImage(basesOf(client), repository)));
      assert.deepEqual(counted(cluster, repository), { blobs: layers.length + 1, manifests: 1 });
    });
  }

  test("with Redis stopped once the ring is known it costs no more", async () => {
    const repository = "acme/alone";
    cluster.hub.content.addImage({ repository, tag: "1", layers });
    await cluster.redis?.stop();
    const nodes = cluster.nodes.map(({ url }) => url);
    const turned = (client: number): readonly string[] => [...nodes.slice(client % 5), ...nodes.slice(0, client % 5)];
    await Promise.all(Array.from({ length: 100 }, (_, client) => pullImage(turned(client), repository)));
    assert.deepEqual(counted(cluster, repository), { blobs: layers.length + 1, manifests: 1 });
  });
});

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

suite("Redis under load", { skip: needsCluster(), timeout: 240_000 }, () => {
  let cluster: Cluster;
  before(async () => void (cluster = await startCluster({ nodes: 3 })), { timeout: 90_000 });
  after(() => cluster.stop());

  test("killed, hung or wiped, it slows no hit, shrinks no ring and costs no fetch twice", async () => {
    const { hub, redis } = cluster;
    assert.ok(redis);
    const warm = "acme/hits";
    hub.content.addImage({ repository: warm, tag: "1", layers: [100_000, 100_000] });
    await pullImage([cluster.url], warm);
    const nodes = cluster.nodes.map(({ url }) => url);

    const medianMs = async (): Promise<number> => {
      const times: number[] = [];
      for (let turn = 0; turn < 60; turn += 1) {
        const startedMs = performance.now();
        await pullImage([cluster.url], warm);
        times.push(performance.now() - startedMs);
      }
      return times.sort((a, b) => a - b)[30] ?? Number.NaN;
    };
    const healthyMs = await medianMs();
    const faults = {
      hung: [() => redis.freeze(), () => redis.thaw()],
      wiped: [() => redis.ask("FLUSHALL"), () => undefined],
      killed: [() => redis.kill(), () => redis.restart()],
    } as const;
    for (const [name, [begin, end]] of Object.entries(faults)) {
      await begin();
      const faultyMs = await medianMs();
      assert.ok(faultyMs < healthyMs * 1.5 + 2, `${name}: ${faultyMs} ms, healthy ${healthyMs} ms`);
      const repository = `acme/cold-${name}`;
      hub.content.addImage({ repository, tag: "1", layers: [200_000, MB] });
      await Promise.all(
        nodes.map((_, index) => pullImage([...nodes.slice(index), ...nodes.slice(0, index)], repository)),
      );
      assert.deepEqual(counted(cluster, repository), { blobs: 3, manifests: 1 }, name);
      for (const node of cluster.nodes) assert.equal((await node.ring()).nodes.length, 3, name);
      await end();
      await cluster.converged(6_000);
    }
  });
});
