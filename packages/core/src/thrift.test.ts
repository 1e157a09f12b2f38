import assert from "node:assert/strict";
import { test } from "node:test";

import type { Digest, Tag } from "@pullring/oci";
import { imageManifest, repositoryA, testCluster, type TestCluster, type TestNode } from "@pullring/testkit";

import { PullringError } from "./errors.ts";
import { limits } from "./limits.ts";

const mediaType = "application/vnd.oci.image.manifest.v1+json";
const indexType = "application/vnd.oci.image.index.v1+json";
const named = (digit: string): string => `sha256:${digit.repeat(64)}`;
const freshMs = 60_000;
const latest = "latest" as Tag;

interface Spending extends TestCluster {
  /** What is left to be spent by the whole cluster. */
  budget: number;
  publish(tag: Tag, salt?: string): Digest;
  pull(node: TestNode | undefined, tag?: Tag): ReturnType<TestNode["cache"]["tags"]["get"]>;
}

/** A cluster whose upstream refuses what is more than its budget. */
function spending(options: Parameters<typeof testCluster>[0] = {}): Spending {
  const cluster = testCluster({ freshMs, ...options });
  const refusal = new PullringError("throttled", "nothing is left", { reason: "throttled", retryAfterSec: 600 });
  const all: Spending = Object.assign(cluster, {
    budget: Number.POSITIVE_INFINITY,
    publish: (tag: Tag, salt = "first"): Digest =>
      cluster.upstream.put(repositoryA, imageManifest(named("c"), named("1"), `${tag} ${salt}`), { tag, mediaType }),
    pull(node: TestNode | undefined, tag = latest) {
      assert.ok(node);
      return cluster.until(node.cache.tags.get(repositoryA, tag));
    },
  });
  cluster.upstream.before = (verb) => {
    if (verb !== "manifest_get") return;
    if (all.budget < 1) throw refusal;
    all.budget -= 1;
  };
  cluster.upstream.manifests.refusal = () => Promise.resolve(all.budget < 1 ? refusal : undefined);
  return all;
}

const any = (nodes: readonly TestNode[], turn: number): TestNode | undefined => nodes[turn % nodes.length];

for (const refreshHot of [false, true]) {
  test(`10,000 pulls of 50 warm tags over 3 windows cost each tag one HEAD a window, and no counted GET${refreshHot ? ", checked in the background too" : ""}`, async () => {
    const cluster = spending({ refreshHot });
    const { clock, nodes, upstream } = cluster;
    const tags = Array.from({ length: 50 }, (_, at) => `t${at}` as Tag);
    for (const tag of tags) {
      cluster.publish(tag);
      for (const node of nodes) await cluster.pull(node, tag);
    }
    // All windows end before the pulls begin.
    await clock.advance(2 * freshMs);
    upstream.requests.length = 0;
    const pulls = 10_000;
    const startedMs = clock.monotonic();
    for (let turn = 0; turn < pulls; turn += 1) {
      await any(nodes, turn)?.cache.tags.get(repositoryA, tags[(turn * 7) % tags.length]!);
      if (turn % 100 === 99) await clock.advance((3 * freshMs) / (pulls / 100));
    }
    const windows = (clock.monotonic() - startedMs) / freshMs;
    assert.ok(windows > 2.9 && windows < 3.1, String(windows));
    assert.equal(upstream.count("manifest_get"), 0);
    for (const tag of tags) {
      const heads = upstream.requests.filter((request) => request.endsWith(`:${tag}`) || request.endsWith(`@${tag}`));
      // Checked early, a tag begins its next window early: 3 ÷ (1 - 0.15), and the first one.
      assert.ok(heads.length >= 3 && heads.length <= (refreshHot ? 5 : 3), `${tag}: ${heads.length}`);
    }
  });
}

test("with every budget empty fresh tags answer by HEAD, moved ones stale, and the new ones follow when there is something left", async () => {
  const cluster = spending();
  const { clock, nodes, upstream } = cluster;
  const [still, moved] = ["still", "moved"] as [Tag, Tag];
  const digests = new Map([still, moved].map((tag) => [tag, cluster.publish(tag)]));
  for (const tag of [still, moved]) for (const node of nodes) await cluster.pull(node, tag);
  cluster.budget = 0;
  const second = cluster.publish(moved, "second");
  await clock.advance(freshMs);
  upstream.requests.length = 0;
  for (const node of nodes) {
    const answer = await cluster.pull(node, still);
    assert.deepEqual([answer.digest, answer.stale], [digests.get(still), undefined], "HEAD costs nothing");
    const old = await cluster.pull(node, moved);
    assert.deepEqual([old.digest, old.stale?.reason], [digests.get(moved), "throttled"]);
    const head = await cluster.until(node.cache.tags.resolve(repositoryA, moved));
    assert.deepEqual([head.record.digest, head.stale?.reason], [digests.get(moved), "throttled"], "as a GET would");
  }
  assert.equal(upstream.count("manifest_head"), 2);
  cluster.budget = 1;
  await clock.advance(freshMs);
  for (const node of nodes) {
    assert.deepEqual(
      [(await cluster.pull(node, moved)).digest, (await cluster.pull(node, moved)).stale],
      [second, undefined],
    );
    assert.equal((await cluster.until(node.cache.tags.resolve(repositoryA, moved))).record.digest, second);
  }
  assert.equal(cluster.budget, 0);
});

test("a node that never had a moved tag answers with what another one has written down", async () => {
  const cluster = spending();
  const { clock, nodes } = cluster;
  const first = cluster.publish(latest);
  const owner = cluster.ring(`docker.io/acme/a:${latest}`)[0];
  const bystander = nodes.find((node) => node !== owner);
  await cluster.pull(owner);
  cluster.budget = 0;
  cluster.publish(latest, "second");
  await clock.advance(freshMs);
  for (let turn = 0; turn < 2; turn += 1) {
    const head = await cluster.until(bystander!.cache.tags.resolve(repositoryA, latest));
    assert.deepEqual([head.record.digest, head.stale?.reason], [first, "throttled"]);
    const answer = await cluster.pull(bystander);
    assert.deepEqual([answer.digest, answer.stale?.reason], [first, "throttled"]);
  }
});

test("a HEAD of a tag that nobody ever had names what upstream does, with every budget empty too", async () => {
  const cluster = spending();
  const digest = cluster.publish(latest);
  cluster.budget = 0;
  const { record, stale } = await cluster.until(cluster.nodes[0]!.cache.tags.resolve(repositoryA, latest));
  assert.deepEqual([record.digest, stale], [digest, undefined]);
  await assert.rejects(cluster.pull(cluster.nodes[0]), { code: "throttled", retryAfterSec: 600 });
});

test("every check is a HEAD, and every GET by the digest that it named", async () => {
  const cluster = spending();
  const digests = [];
  for (let window = 0; window < 4; window += 1) {
    digests.push(cluster.publish(latest, `${window}`));
    for (const node of cluster.nodes) await cluster.pull(node);
    await cluster.clock.advance(freshMs);
  }
  assert.deepEqual(
    cluster.upstream.requests.map((request) => request.replace("docker.io/acme/a@", "")),
    digests.flatMap((digest) => ["manifest_head latest", `manifest_get ${digest}`]),
  );
});

test("signatures that do not exist cost one HEAD in ten seconds for each name, by whichever node", async () => {
  const cluster = spending();
  const { clock, nodes, upstream } = cluster;
  const names = [".sig", ".att"].map((end) => `sha256-${"a".repeat(64)}${end}` as Tag);
  for (let round = 0; round < 3; round += 1) {
    for (const node of [...nodes, ...nodes])
      for (const name of names) await assert.rejects(cluster.pull(node, name), { code: "missing" });
    await clock.advance(limits.negativeMs);
  }
  assert.equal(upstream.count("manifest_head"), 3 * names.length);
  assert.equal(upstream.count("manifest_get"), 0);
});

test("of an index only those children are fetched that somebody asks for", async () => {
  const cluster = spending();
  const { nodes, upstream, until } = cluster;
  const children = ["amd64", "arm64", "s390x"].map((architecture) => {
    const bytes = imageManifest(named("c"), named("1"), architecture);
    return { digest: upstream.put(repositoryA, bytes, { mediaType }), architecture, size: bytes.length };
  });
  const manifests = children.map(({ digest, architecture, size }) => ({
    mediaType,
    digest,
    size,
    platform: { os: "linux", architecture },
  }));
  upstream.put(repositoryA, JSON.stringify({ schemaVersion: 2, mediaType: indexType, manifests }), {
    tag: latest,
    mediaType: indexType,
  });
  for (const node of nodes) await cluster.pull(node);
  assert.equal(upstream.count("manifest_get"), 1);
  for (const node of nodes) await until(node.cache.manifests.get(repositoryA, children[1]!.digest));
  assert.equal(upstream.count("manifest_get"), 2);
});

test("a digest that any tier of the cluster holds is fetched by nobody again", async () => {
  for (const hasShared of [false, true]) {
    const cluster = spending({ nodes: 4, hasShared });
    const { nodes, upstream, until, clock } = cluster;
    const digest = cluster.publish(latest);
    await cluster.pull(nodes[0]);
    await clock.advance(1_000);
    // Only one holds it, or only shared storage does.
    const keeper = hasShared ? undefined : nodes.find(({ store }) => store.stat(digest));
    for (const { store, id } of nodes) if (id !== keeper?.id) await store.remove(digest);
    cluster.budget = 0;
    await clock.advance(freshMs);
    for (const node of nodes) assert.equal((await cluster.pull(node)).digest, digest);
    for (const node of nodes) await until(node.cache.manifests.get(repositoryA, digest));
    assert.equal(upstream.count("manifest_get"), 1, hasShared ? "S3" : "a peer");
  }
});
