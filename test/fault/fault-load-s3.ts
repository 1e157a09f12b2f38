import { type ImageDescriptor, type S3Double, startFaultProxy, startS3Double } from "@pullring/testkit";

import { scrape } from "../promises/metrics.ts";
import { type Cluster, startCluster } from "../real/cluster.ts";
import { lastingTags, noLimit } from "./fault-load-redis.ts";
import type { Fault, FaultRig } from "./fault-load-run.ts";

export interface S3Rig extends FaultRig {
  readonly faults: readonly Fault[];
}

/** For each chunk in either direction: an answer takes twice as long, and 100 KB come at some 300 KB/s at most. */
const slowMs = 400;
const everyFourth = 4;

/**
 * Three nodes with a bucket. The layer of every fourth cold image is in the bucket already, as other nodes' upload would have it, so
 * that S3 is read from as well.
 */
export async function openS3Rig(stack: AsyncDisposableStack): Promise<S3Rig> {
  const s3 = await startS3Double();
  stack.defer(() => s3.close());
  const proxy = await startFaultProxy({ target: { port: Number(new URL(s3.endpoint).port) } });
  stack.defer(() => proxy.close());
  const bucket = {
    bucket: "images",
    endpoint: `http://127.0.0.1:${proxy.port}`,
    region: "us-east-1",
    forcePathStyle: true,
    accessKeyId: "pullring",
    secretAccessKey: "of this test",
  };
  const cluster = stack.use(
    await startCluster({ nodes: 3, hub: noLimit, config: { ...lastingTags, storage: { s3: bucket } } }),
  );
  let colds = 0;
  const load = {
    entries: cluster.nodes.map(({ url }) => url),
    onCold: (repository: string, { layers }: ImageDescriptor) => {
      if (colds++ % everyFourth === 0)
        for (const { digest } of layers) keep(s3, digest, bytesOf(cluster, repository, digest));
    },
  };
  const felt = { before: 0 };
  const common = {
    usedAgain: () => readAgain(cluster),
    // What can't be had from the bucket is fetched, once.
    extraGetsPerPull: 0,
  };
  const faults: readonly Fault[] = [
    {
      name: "s3-killed",
      ...common,
      begin: () => {
        proxy.toxics.refuse = true;
        proxy.reset();
      },
      isFelt: async () => (await total(cluster, "read", "failed")) > 0,
      end: () => (proxy.toxics.refuse = false),
    },
    {
      name: "s3-slow",
      ...common,
      begin: () => {
        felt.before = s3.requests.length;
        proxy.toxics.latencyMs = slowMs;
      },
      isFelt: () => Promise.resolve(s3.requests.length > felt.before),
      end: () => (proxy.toxics.latencyMs = 0),
    },
    {
      name: "s3-corrupting",
      ...common,
      begin: () => s3.faults.push({ fault: "corrupt", method: "GET" }),
      isFelt: async () => (await total(cluster, "read", "mismatch")) > 0,
      end: () => (s3.faults.length = 0),
    },
  ];
  return { cluster, load, faults };
}

/** As `packages/storage` lays it out, and says of what anybody may have. */
function keep(s3: S3Double, digest: string, bytes: Buffer): void {
  const hex = digest.slice("sha256:".length);
  const metadata = { access: "public", at: String(Date.now()) };
  s3.objects.set(`v1/blobs/sha256/${hex.slice(0, 2)}/${hex}`, { bytes, metadata, modifiedAt: Date.now() });
}

function bytesOf({ hub }: Cluster, repository: string, digest: string): Buffer {
  const blob = hub.content.find(repository)?.blobs.get(digest);
  const bytes = Buffer.alloc(blob?.size ?? 0);
  blob?.copy(bytes, 0);
  return bytes;
}

async function total({ nodes }: Cluster, kind: string, outcome: string): Promise<number> {
  const told = await Promise.all(nodes.map((node) => scrape(node)));
  return told.reduce((sum, { sum: of }) => sum + of("pullring_shared_requests_total", { kind, outcome }), 0);
}

async function readAgain(cluster: Cluster): Promise<() => Promise<boolean>> {
  const before = await total(cluster, "read", "ok");
  return async () => (await total(cluster, "read", "ok")) > before;
}
