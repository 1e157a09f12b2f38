import assert from "node:assert/strict";

import { mediaTypes } from "@pullring/testkit";

import type { Cluster } from "../real/cluster.ts";
import type { ClusterNode } from "../real/cluster-node.ts";
import { pull, type Pulled } from "../real/http.ts";

export const MB = 1_000_000;
const accept = [mediaTypes.ociIndex, mediaTypes.ociManifest].join(", ");
export const blobGets = ["blob_get", "blob_range"] as const;

interface Manifest {
  readonly config: { readonly digest: string };
  readonly layers: readonly { readonly digest: string }[];
}

export async function pullBlob(base: string, repository: string, digest: string): Promise<Pulled> {
  const answer = await pull(`${base}/v2/${repository}/blobs/${digest}`);
  assert.deepEqual([answer.status, answer.digest], [200, digest]);
  return answer;
}

/** As a client pulls: the tag, then all that its manifest names. Each address is asked in turn. */
export async function pullImage(bases: readonly string[], repository: string): Promise<void> {
  const [base = ""] = bases;
  const answer = await pull(`${base}/v2/${repository}/manifests/1`, { headers: { accept } });
  assert.equal(answer.status, 200);
  const { config, layers } = JSON.parse(answer.head.toString()) as Manifest;
  for (const [index, { digest }] of [config, ...layers].entries())
    await pullBlob(bases[(index + 1) % bases.length] ?? base, repository, digest);
}

/** The same, once more where it failed. */
export async function pullWithRetry(base: string, repository: string): Promise<void> {
  await pullImage([base], repository).catch(() => pullImage([base], repository));
}

export const counted = (cluster: Cluster, repository: string) => ({
  blobs: cluster.hub.ledger.count({ repository, kind: [...blobGets] }),
  manifests: cluster.hub.ledger.count({ repository, kind: "manifest_get" }),
});

/** The node that all nodes take for the owner of this key. */
export async function ownerOf(cluster: Cluster, key: string): Promise<ClusterNode> {
  const [asked] = cluster.nodes;
  const answer = await pull(`${asked?.adminUrl}/admin/v1/ring/owner?key=${encodeURIComponent(key)}`);
  const { owner } = JSON.parse(answer.head.toString()) as { owner: string };
  const found = cluster.nodes.find(({ id }) => id === owner);
  assert.ok(found);
  return found;
}

export const others = (cluster: Cluster, node: ClusterNode): readonly ClusterNode[] =>
  cluster.nodes.filter((each) => each !== node && each.isRunning);
