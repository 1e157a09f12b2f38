import assert from "node:assert/strict";
import { test } from "node:test";

import { accountLane, imageManifest, readBytes, repositoryA, repositoryB, testCluster } from "@pullring/testkit";

import { hasCode, PullringError } from "./errors.ts";

const content = Buffer.from(Array.from({ length: 6_000_000 }, (_, index) => (index * 7) % 251));
const pieceBytes = 256 * 1024;

type Options = Parameters<typeof testCluster>[0];

/** Each node takes itself for the owner. */
const selfish: Options = { ring: (self, _key, nodes) => [self, ...nodes.filter((node) => node !== self)] };

/** Repository A holds a blob that an account brings; repository B has no right to it. */
function withPrivateBlob(options: Options) {
  const cluster = testCluster(options);
  const { upstream } = cluster;
  upstream.lanes = () => accountLane;
  upstream.pieceBytes = pieceBytes;
  const digest = upstream.put(repositoryA, content);
  const open = (id: string, repository: typeof repositoryA) =>
    cluster.until(cluster.node(id).cache.blobs.open({ repository, digest, client: id }));
  return { ...cluster, digest, open };
}

const isMissing = (error: unknown): boolean => hasCode(error, "missing");

test("what a broken fill left stays with its repository, even when a stranger's fill has tried to go on with it", async () => {
  const cluster = withPrivateBlob(selfish);
  const { upstream, open, node, digest } = cluster;
  upstream.pace = (sent) => {
    if (sent > 12 * pieceBytes) throw new PullringError("missing", "this upstream breaks");
  };
  const { body } = await open("n1", repositoryA);
  await assert.rejects(cluster.until(readBytes(body)));
  await assert.rejects(open("n1", repositoryB), isMissing);
  await assert.rejects(open("n2", repositoryB), isMissing);
  assert.equal(await node("n2").records.get({ repository: repositoryB, kind: "link", name: digest }), undefined);
  const again = await open("n2", repositoryA);
  assert.equal(again.tier, "peer", "whoever has the right to it goes on with what is there");
  again.body.close();
});

test("what S3 brought for a stranger and broke off is no way around his want of rights", async () => {
  const cluster = withPrivateBlob({ ...selfish, hasShared: true });
  const { shared, open, clock, digest } = cluster;
  const half = Object.assign(Buffer.from(content), { subarray: (from: number) => content.subarray(from, 3_000_000) });
  shared.held.set(digest, { bytes: half, access: "linked" });
  await assert.rejects(open("n1", repositoryB), isMissing);
  await clock.advance(5_000);
  await assert.rejects(open("n2", repositoryB), isMissing);
});

test("a manifest that a peer's question brings here is not shown to another repository whose owner can't be reached", async () => {
  const cluster = testCluster({ nodes: 3 });
  const { upstream, until } = cluster;
  upstream.lanes = () => accountLane;
  const mediaType = "application/vnd.oci.image.manifest.v1+json";
  const manifest = imageManifest(`sha256:${"c".repeat(64)}`, `sha256:${"1".repeat(64)}`, "x");
  const digest = upstream.put(repositoryA, manifest, { mediaType });
  const [owner, next, third] = cluster.ring(digest);
  assert.ok(owner && next && third);
  const gate = Promise.withResolvers<void>();
  upstream.before = (verb) => (verb === "manifest_get" ? gate.promise : undefined);
  cluster.kill(owner.id);
  const rightly = third.cache.manifests.get(repositoryA, digest);
  await cluster.clock.advance(1_000);
  assert.equal(upstream.count("manifest_get"), 1);
  const wrongly = next.cache.manifests.get(repositoryB, digest);
  wrongly.catch(() => {});
  await cluster.clock.advance(1_000);
  gate.resolve();
  assert.equal((await until(rightly)).digest, digest);
  await assert.rejects(until(wrongly), isMissing);
});
