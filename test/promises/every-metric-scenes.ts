import { open, readFile } from "node:fs/promises";
import { join } from "node:path";

import { ask, eventually, type Hub, mediaTypes, type S3Double } from "@pullring/testkit";

import type { Cluster } from "../real/cluster.ts";
import type { ClusterNode } from "../real/cluster-node.ts";
import { pull, type PullOptions } from "../real/http.ts";
import type { Movements } from "./metric-movements.ts";
import { openRaw } from "./raw.ts";
import { bytesOfBlob, reach } from "./rig.ts";

/** As the hub knows them. */
export const accounts = {
  ci: { username: "ci", password: "right", repositories: ["acme/**"] },
  locked: { username: "locked", password: "right", repositories: ["locked/**"] },
} as const;

/** What the nodes are told beside what every cluster is told; `angry` is a registry that answers nobody. */
export const configOf = (s3: S3Double, angry: Hub): Record<string, unknown> => ({
  upstreams: { "angry.test": reach(angry) },
  accounts: [
    { name: "ci", upstream: "docker.io", ...accounts.ci },
    { name: "locked", upstream: "docker.io", ...accounts.locked, password: "wrong" },
  ],
  tags: { fresh: "0s" },
  clients: { rules: [{ match: "docker.io/denied/**", deny: true }] },
  storage: {
    memory: "1MiB",
    disk: { size: "16MiB" },
    s3: {
      bucket: "metrics",
      endpoint: s3.endpoint,
      region: "us-east-1",
      forcePathStyle: true,
      accessKeyId: "k",
      secretAccessKey: "s",
    },
  },
});

export interface Stage {
  readonly cluster: Cluster;
  readonly s3: S3Double;
  readonly movements: Movements;
}

const app = "library/app";
const accept = `${mediaTypes.ociIndex}, ${mediaTypes.ociManifest}`;
const hexOf = (digest: string): string => digest.slice("sha256:".length);
const from = ({ url }: ClusterNode, path: string, options: PullOptions = {}): Promise<unknown> =>
  pull(`${url}/v2/${path}`, { ...options, headers: { accept, ...options.headers } }).catch(() => undefined);

function nodesOf({ cluster }: Stage): readonly [ClusterNode, ClusterNode, ClusterNode] {
  const [one, two, three] = cluster.nodes;
  if (!one || !two || !three) throw new Error("three nodes are wanted");
  return [one, two, three];
}

const ownerOf = async ({ adminUrl }: ClusterNode, key: string): Promise<string> =>
  (JSON.parse((await ask(`${adminUrl}/admin/v1/ring/owner?key=${key}`)).body.toString()) as { owner: string }).owner;

/** A blob that this node owns, of that many bytes. */
async function ownedBy({ cluster }: Stage, node: ClusterNode, size: number): Promise<string> {
  for (;;) {
    const { digest } = cluster.hub.content.addBlob({ repository: app, size });
    if ((await ownerOf(node, digest)) === node.id) return digest;
  }
}

/** A repository whose tag `1` this node owns. */
async function tagOf({ cluster }: Stage, node: ClusterNode, name: string): Promise<string> {
  for (let index = 0; ; index += 1) {
    const repository = `library/${name}-${index}`;
    if ((await ownerOf(node, `docker.io/${repository}:1`)) !== node.id) continue;
    cluster.hub.content.addArtifact({ repository, tag: "1", size: 100 });
    return repository;
  }
}

/** What rests for a while afterwards: an account, and everything that goes to a registry that asked for it. */
export async function benches(stage: Stage): Promise<void> {
  const [one] = nodesOf(stage);
  await from(one, `${app}/manifests/1?ns=angry.test`);
  await from(one, "locked/app/manifests/1");
}

/** What clients do all day, by every node. */
export async function pulls(stage: Stage): Promise<void> {
  const { hub } = stage.cluster;
  const image = hub.content.addImage({ repository: app, tag: "1", layers: [500_000, 1_000] });
  for (const node of nodesOf(stage)) {
    await from(node, "");
    for (const path of [`${app}/manifests/1`, `${app}/manifests/${image.digest}`]) {
      await from(node, path);
      await from(node, path, { method: "HEAD" });
    }
    for (const { digest } of [...image.layers, ...image.layers]) await from(node, `${app}/blobs/${digest}`);
    await from(node, `${app}/blobs/${image.layers[0]?.digest}`, {
      headers: { "if-none-match": `"${image.layers[0]?.digest}"` },
    });
    await from(node, `${app}/tags/list`);
    await from(node, `${app}/referrers/${image.digest}`);
  }
  // A private image, and its bytes under a name whose rights only upstream knows.
  const mine = hub.content.addImage({ repository: "acme/mine", tag: "1", layers: [1_000], private: true });
  const [one] = nodesOf(stage);
  await from(one, "acme/mine/manifests/1");
  await from(one, `acme/mine/blobs/${mine.layers[0]?.digest}`);
  await from(one, `${app}/blobs/${mine.layers[0]?.digest}`);
}

/** What clients get wrong, or may not do, and what is not there. */
export async function mistakes(stage: Stage): Promise<void> {
  const { faults } = stage.cluster.hub;
  const [one, two] = nodesOf(stage);
  await from(one, `${app}/manifests/none`);
  await from(one, "denied/app/manifests/1");
  await from(one, `${app}/blobs/sha256:short`);
  await from(one, "../../elsewhere");
  const [large, down, unsaid] = [
    await tagOf(stage, one, "large"),
    // One whose owner, asked by another node, can only tell that it can't.
    await tagOf(stage, two, "down"),
    await tagOf(stage, one, "unsaid"),
  ];
  const manifests = ["manifest_get", "manifest_head"] as const;
  faults.add({ kind: "manifest_get", repository: large, times: "always" }, { contentLengthDelta: 8 * 1024 * 1024 });
  faults.add({ kind: manifests, repository: down, times: "always" }, { status: 502 });
  // Whoever is not told where tokens are asks for that first.
  faults.add(
    { kind: manifests, repository: unsaid, beforeAuth: true },
    { status: 401, headers: { "www-authenticate": null } },
  );
  for (const repository of [large, down, unsaid]) await from(one, `${repository}/manifests/1`);
}

/** Tags that were there a moment ago, of a registry that can't be asked now. */
export async function staleTags(stage: Stage): Promise<void> {
  const { faults } = stage.cluster.hub;
  const [one] = nodesOf(stage);
  const answers = { down: { status: 502 }, timeout: { hang: true }, refused: { status: 409 } };
  const unwell = Object.entries(answers).map(async ([name, fault]) => {
    const repository = await tagOf(stage, one, `stale-${name}`);
    await from(one, `${repository}/manifests/1`);
    faults.add({ kind: ["manifest_head", "manifest_get"], repository, times: "always" }, fault);
    await from(one, `${repository}/manifests/1`);
  });
  await Promise.all(unwell);
}

/** More fills than one client may have at once, and more than one reader for some. */
export async function crowd(stage: Stage): Promise<void> {
  const { content, faults } = stage.cluster.hub;
  const [one, two] = nodesOf(stage);
  const repository = "library/crowd";
  const digests = Array.from({ length: 20 }, () => content.addBlob({ repository, size: 200_000 }).digest);
  faults.add({ kind: "cdn_get", repository, times: "always" }, { dripBytesPerSec: 100_000 });
  const asked = digests.flatMap((digest) => [one, one, two].map((node) => from(node, `${repository}/blobs/${digest}`)));
  await Promise.all(asked);
}

/** One slow fill, whose lease is given to somebody else while it runs; and a blob that seems to be fetched by another node. */
export async function leases(stage: Stage): Promise<void> {
  const { redis, hub } = stage.cluster;
  const [one, two] = nodesOf(stage);
  const slow = await ownedBy(stage, one, 1_000_000);
  const held = await ownedBy(stage, one, 1_000);
  hub.faults.add({ kind: "cdn_get", reference: slow, times: "always" }, { dripBytesPerSec: 130_000 });
  const reading = Promise.all([one, two].map((node) => from(node, `${app}/blobs/${slow}`)));
  const key = await eventually(async () => {
    const told = (await redis?.ask(`KEYS *${hexOf(slow)}*`)) ?? "";
    return told.split("\r\n").find((line) => line.includes(hexOf(slow)) && !line.includes("fence"));
  });
  const other = key.replaceAll(hexOf(slow), hexOf(held));
  await redis?.ask(`HSET ${other} token another node n9 attempt 1 bytes 0`);
  await redis?.ask(`PEXPIRE ${other} 1000`);
  await redis?.ask(`HSET ${key} token another node n9`);
  await from(one, `${app}/blobs/${held}`);
  await from(one, `${app}/blobs/${slow}`, { headers: { range: "bytes=980000-980009" } });
  await reading;
}

/** Bytes that are not what their name says: from upstream, from S3, from a peer's disk. And those from S3 that are. */
export async function wrongBytes(stage: Stage): Promise<void> {
  const { cluster, s3 } = stage;
  const { hub } = cluster;
  const [one, two] = nodesOf(stage);
  const corrupt = hub.content.addBlob({ repository: app, size: 400_000 }).digest;
  hub.faults.add({ kind: "cdn_get", reference: corrupt }, { corruptAt: 1 });
  await from(one, `${app}/blobs/${corrupt}`);
  const cut = hub.content.addBlob({ repository: app, size: 400_000 }).digest;
  hub.faults.add({ kind: "cdn_get", reference: cut }, { cutAfterBytes: 200_000 });
  await from(one, `${app}/blobs/${cut}`);

  for (const flip of [0, 1]) {
    const digest = await ownedBy(stage, one, 300_000);
    const bytes = bytesOfBlob(hub, app, digest);
    bytes[9] = (bytes[9] ?? 0) ^ flip;
    const key = `v1/blobs/sha256/${hexOf(digest).slice(0, 2)}/${hexOf(digest)}`;
    s3.objects.set(key, { bytes, metadata: { access: "public", at: "0" }, modifiedAt: 0 });
    await from(one, `${app}/blobs/${digest}`);
  }

  const rotten = await ownedBy(stage, two, 400_000);
  await from(two, `${app}/blobs/${rotten}`);
  const file = join(two.pullring.disk, "v1/blobs/sha256", hexOf(rotten));
  await eventually(() => readFile(file).catch(() => undefined));
  await using handle = await open(file, "r+");
  await handle.write(Buffer.from([(bytesOfBlob(hub, app, rotten)[9] ?? 0) ^ 1]), 0, 1, 9);
  await from(one, `${app}/blobs/${rotten}`);
}

/** S3 that fails, a client that leaves, and a disk that is full. */
export async function trouble(stage: Stage): Promise<void> {
  const { cluster, s3 } = stage;
  const [one, two] = nodesOf(stage);
  s3.faults.push({ fault: { status: 403, code: "AccessDenied" }, target: /blobs/, times: 8 });
  await from(one, `${app}/blobs/${await ownedBy(stage, one, 1_000)}`);
  await untilMoved(stage, "pullring_peer_requests_total", { outcome: "aborted" }, async () => {
    const left = await ownedBy(stage, two, 900_000);
    cluster.hub.faults.add({ kind: "cdn_get", reference: left, times: "always" }, { dripBytesPerSec: 300_000 });
    const leaving = openRaw(`${one.url}/v2/${app}/blobs/${left}`, { take: () => leaving.leave() });
    await leaving.answer;
  });
  await untilMoved(stage, "pullring_evictions_total", { tier: "disk" }, async () => {
    await from(one, `${app}/blobs/${await ownedBy(stage, one, 4_000_000)}`);
  });
}

/** Again and again for a while: a busy machine's peers are passed over for ten seconds, and a disk needs more than one blob to be full. */
async function untilMoved(
  { movements }: Stage,
  name: string,
  labels: Readonly<Record<string, string>>,
  play: () => Promise<void>,
): Promise<void> {
  const hasMoved = async (): Promise<boolean> => {
    await play();
    await movements.look();
    return movements.has(name, labels);
  };
  // What did not move is told at the end.
  await eventually(hasMoved, { timeoutMs: 15_000, intervalMs: 200 }).catch(() => {});
}

/** The last scene: a node leaves, one dies with a body half sent, upstream asks for a pause, Redis goes. */
export async function ends(stage: Stage): Promise<void> {
  const { cluster } = stage;
  const { hub } = cluster;
  const [one, two, three] = nodesOf(stage);
  await three.drain();
  await cluster.converged();
  const slow = await ownedBy(stage, two, 900_000);
  hub.faults.add({ kind: "cdn_get", reference: slow, times: "always" }, { dripBytesPerSec: 500_000 });
  await new Promise<void>((resolve, reject) => {
    const reading = openRaw(`${one.url}/v2/${app}/blobs/${slow}`, { take: () => resolve() });
    reading.answer.then(() => reject(new Error("no body came")), reject);
  });
  await two.kill();
  // What it was fetching is fetched on by the node that reads it.
  const isTakenOver = (): boolean => stage.movements.has("pullring_lease_total", { outcome: "taken_over" });
  await eventually(isTakenOver, { timeoutMs: 10_000 });
  for (const size of [1_000, 2_000]) await from(one, `${app}/blobs/${await ownedBy(stage, two, size).catch(() => "")}`);
  hub.knobs.abuse = { retryAfterSec: 60, bareLf: false, text: "Too Many Requests" };
  await from(one, "library/unknown/manifests/1");
  await from(one, `${app}/manifests/1`);
  await cluster.redis?.kill();
  await from(one, `${app}/blobs/${hub.content.addBlob({ repository: app, size: 1_000 }).digest}`);
}
