import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";

import { type Cluster, needsCluster, startCluster } from "../real/cluster.ts";
import { MB, pullImage, counted } from "./nodes-rig.ts";

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
