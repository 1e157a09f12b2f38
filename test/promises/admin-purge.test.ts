import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";

import { ask, eventually, mediaTypes } from "@pullring/testkit";

import { startCluster, needsCluster, type Cluster } from "../real/cluster.ts";
import type { ClusterNode } from "../real/cluster-node.ts";
import { pull } from "../real/http.ts";
import { assertDocumented, documentedCalls } from "./documented-calls.ts";

const accept = mediaTypes.ociManifest;

type Json = Readonly<Record<string, unknown>>;

interface Purged {
  readonly nodes: readonly { readonly node: string }[];
  readonly s3: string;
  readonly missing: readonly string[];
}

interface Manifest {
  readonly layers: readonly { readonly digest: string }[];
}

const tailOf = (digest: string): string => digest.slice(digest.indexOf(":") + 1);

suite("a purge on three nodes that share a bucket", { skip: needsCluster({ s3: true }), timeout: 240_000 }, () => {
  let cluster: Cluster;
  before(async () => void (cluster = await startCluster({ nodes: 3, s3: true, balancer: "none" })), {
    timeout: 120_000,
  });
  after(() => cluster.stop());

  /** Everything below the data folders of all nodes whose path has this in it. */
  async function onDisks(part: string): Promise<string[]> {
    const found = await Promise.all(
      cluster.nodes.map(async ({ pullring: { disk } }) => {
        const entries = await readdir(join(disk, "v1"), { recursive: true, withFileTypes: true });
        return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
      }),
    );
    return found.flat().filter((path) => path.includes(part) && !path.includes("/_new/"));
  }

  const inS3 = async (part: string): Promise<string[]> =>
    ((await cluster.s3?.keys()) ?? []).filter((key) => key.includes(part) && !key.includes("/tombstones/"));

  /** Through every node, by tag, so that each has its record, the manifest and its links. */
  async function pullEverywhere(repository: string): Promise<{ manifest: string; layer: string }> {
    let digests = { manifest: "", layer: "" };
    for (const { url } of cluster.nodes) {
      const answer = await pull(`${url}/v2/${repository}/manifests/1`, { headers: { accept } });
      assert.equal(answer.status, 200);
      const { layers } = JSON.parse(answer.head.toString()) as Manifest;
      digests = { manifest: answer.digest, layer: layers[0]?.digest ?? "" };
      assert.equal((await pull(`${url}/v2/${repository}/blobs/${digests.layer}`)).status, 200);
      await pull(`${url}/v2/${repository}/tags/list`);
    }
    return digests;
  }

  async function purge(path: string): Promise<void> {
    const [node] = cluster.nodes;
    const headers = { authorization: `Bearer ${cluster.adminToken}` };
    const { status, body } = await ask(`${node?.adminUrl}/admin/v1/${path}`, { method: "DELETE", headers });
    assert.equal(status, 200, body.toString());
    const { nodes, s3, missing } = JSON.parse(body.toString()) as Purged;
    assert.deepEqual([nodes.map((each) => each.node).sort(), s3, missing], [["n1", "n2", "n3"], "purged", []]);
  }

  test("of a digest leaves its bytes on no node and not in S3, and the next pull fetches it again", async () => {
    const repository = "acme/blob";
    cluster.hub.content.addImage({ repository, tag: "1", layers: [300_000] });
    const { layer } = await pullEverywhere(repository);
    await eventually(async () => (await inS3(tailOf(layer))).some((key) => key.includes("/blobs/")));
    assert.ok((await onDisks(`blobs/sha256/${tailOf(layer)}`)).length > 0);
    await purge(`blobs/${layer}`);
    assert.deepEqual(await onDisks(`blobs/sha256/${tailOf(layer)}`), []);
    assert.deepEqual(
      (await inS3(tailOf(layer))).filter((key) => key.includes("/blobs/")),
      [],
    );
    const before = cluster.hub.ledger.count({ repository, kind: ["blob_get"] });
    for (const { url } of cluster.nodes) await pull(`${url}/v2/${repository}/blobs/${layer}`);
    assert.equal(cluster.hub.ledger.count({ repository, kind: ["blob_get"] }), before + 1);
  });

  test("of a tag leaves its record on no node and not in S3, and every node learns a new digest", async () => {
    const repository = "acme/tag";
    cluster.hub.content.addImage({ repository, tag: "1", layers: [1_000] });
    await pullEverywhere(repository);
    const record = `${repository}/_tags/1.json`;
    await eventually(async () => (await onDisks(record)).length === 3 && (await inS3(record)).length === 1);
    const { digest } = cluster.hub.content.addImage({ repository, tag: "1", layers: [2_000] });
    await purge(`images/docker.io/${repository}:1`);
    await eventually(async () => (await inS3(record)).length === 0);
    assert.deepEqual(await onDisks(record), []);
    for (const { url } of cluster.nodes) {
      const answer = await pull(`${url}/v2/${repository}/manifests/1`, { headers: { accept } });
      assert.equal(answer.digest, digest);
    }
  });

  test("of a repository leaves none of its records anywhere, and those of its neighbour where they are", async () => {
    const [repository, neighbour] = ["acme/whole", "acme/whole/part"];
    for (const name of [repository, neighbour]) {
      cluster.hub.content.addImage({ repository: name, tag: "1", layers: [1_000] });
      await pullEverywhere(name);
    }
    const records = (name: string): string => `docker.io/${name}/_`;
    await eventually(
      async () => (await inS3(records(repository))).length > 3 && (await inS3(records(neighbour))).length > 3,
    );
    assert.ok((await onDisks(records(repository))).length >= 9);
    const kept = await onDisks(records(neighbour));
    await purge(`images/docker.io/${repository}`);
    assert.deepEqual([await onDisks(records(repository)), await inS3(records(repository))], [[], []]);
    assert.deepEqual(await onDisks(records(neighbour)), kept);
    assert.ok((await inS3(records(neighbour))).length > 3);
  });

  test("of what a node holds that is away takes it from there when that node is back", async () => {
    const repository = "acme/away";
    cluster.hub.content.addImage({ repository, tag: "1", layers: [300_000] });
    const { layer, manifest } = await pullEverywhere(repository);
    await eventually(async () => (await inS3(tailOf(layer))).some((key) => key.includes("/blobs/")));
    const [asked, , away] = cluster.nodes;
    await away?.kill();
    const headers = { authorization: `Bearer ${cluster.adminToken}` };
    for (const digest of [layer, manifest]) {
      const answer = await ask(`${asked?.adminUrl}/admin/v1/blobs/${digest}`, { method: "DELETE", headers });
      assert.deepEqual((JSON.parse(answer.body.toString()) as Purged).missing, ["n3"]);
    }
    await away?.start();
    const isGone = async (): Promise<boolean> =>
      (await onDisks(tailOf(layer))).every((path) => !path.includes("/blobs/"));
    await eventually(isGone, { timeoutMs: 15_000 });
    const before = cluster.hub.ledger.count({ repository, kind: ["blob_get"] });
    await pullEverywhere(repository);
    assert.equal(cluster.hub.ledger.count({ repository, kind: ["blob_get"] }), before + 1);
    await cluster.converged();
  });

  const tell = async (node: ClusterNode | undefined, path: string): Promise<Json> => {
    const { status, body } = await ask(`${node?.adminUrl}/admin/v1/${path}`);
    assert.equal(status, 200, body.toString());
    return JSON.parse(body.toString()) as Json;
  };
  const nodesIn = (rows: readonly Json[]): unknown[] => [...new Set(rows.map(({ node }) => String(node)))].sort();

  test("any node tells what all of them hold, where a digest is, and what happens on each", async () => {
    const repository = "acme/told";
    cluster.hub.content.addImage({ repository, tag: "1", layers: [300_000] });
    const [asked, , third] = cluster.nodes;
    const ended = new AbortController();
    const response = await fetch(`${asked?.adminUrl}/admin/v1/events`, { signal: ended.signal });
    let events = "";
    const reading = (async (): Promise<void> => {
      for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>)
        events += Buffer.from(chunk).toString();
    })().catch(() => {});
    const { layer } = await pullEverywhere(repository);
    await eventually(async () => (await inS3(tailOf(layer))).some((key) => key.includes("/blobs/")));

    const { tiers } = (await tell(asked, "cache")) as { tiers: Json[] };
    assert.deepEqual(nodesIn(tiers), ["n1", "n2", "n3"]);
    const { images, next } = (await tell(asked, `images?match=${repository}&limit=1`)) as {
      images: Json[];
      next: null;
    };
    assert.deepEqual([nodesIn(images), next], [["n1", "n2", "n3"], null]);
    const { nodes, s3, owner } = (await tell(asked, `blobs/${layer}`)) as Json & { nodes: Json[] };
    assert.deepEqual([nodesIn(nodes), s3], [["n1", "n2", "n3"], { state: "held", size: 300_000 }]);
    assert.ok(nodes.some(({ node, disk }) => node === owner && disk === true));
    for (const { repositories } of nodes) assert.deepEqual(repositories, [`docker.io/${repository}`]);

    await purge(`blobs/${layer}`);
    const told = (): Json[] => [...events.matchAll(/^data: (.*)$/gm)].map(([, text = ""]) => JSON.parse(text) as Json);
    const purgedOn = (id: string): boolean =>
      told().some(({ node, kind, purged }) => node === id && kind === "purge" && purged === layer);
    await eventually(() => ["n1", "n2", "n3"].every(purgedOn), { timeoutMs: 15_000 });
    await third?.kill();
    const { missing } = (await tell(asked, "cache")) as { missing: string[] };
    assert.deepEqual(missing, ["n3"]);
    assert.deepEqual(((await tell(asked, "cache?node=self")) as { missing: string[] }).missing, []);
    await eventually(() => told().some((each) => String(each["missing"]) === "n3"), { timeoutMs: 15_000 });
    ended.abort();
    await reading;
  });

  test("every documented call answers of three nodes as the document says", async () => {
    await cluster.nodes[2]?.start();
    const repository = "acme/documented";
    cluster.hub.content.addImage({ repository, tag: "1", layers: [300_000] });
    const { layer } = await pullEverywhere(repository);
    const [, asked] = cluster.nodes;
    const at = { adminUrl: asked?.adminUrl ?? "", headers: { authorization: `Bearer ${cluster.adminToken}` } };
    const image = `docker.io/${repository}:1`;
    const samples = {
      parameters: { digest: layer, image, key: image, limit: "5" },
      bodies: {
        "POST /admin/v1/ring/preview": { add: [{ id: "n9", weight: 2 }], remove: ["n1"] },
        "POST /admin/v1/warm": { images: [image] },
      },
    };
    for (const call of await documentedCalls(at)) await assertDocumented(at, call, samples);
  });
});
