import assert from "node:assert/strict";
import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { eventually, mediaTypes, startHub, type Hub } from "@pullring/testkit";

import { pull } from "../real/http.ts";
import { freePort } from "../real/listening.ts";
import { asDockerHub, startPullring, type Pullring } from "../real/pullring.ts";
import { needsRedis, startRedis } from "../real/redis.ts";
import { needsS3, startS3, type S3Server } from "../real/s3.ts";

const accept = [mediaTypes.ociIndex, mediaTypes.ociManifest].join(", ");
const repository = "library/app";

interface Manifest {
  readonly config: { readonly digest: string };
  readonly layers: readonly { readonly digest: string }[];
}

/** Pulls the image as a client does; tells where each part came from. */
async function pullImage(node: Pullring): Promise<readonly string[]> {
  const answer = await fetch(`${node.url}/v2/${repository}/manifests/1`, { headers: { accept } });
  assert.equal(answer.status, 200);
  const from = [answer.headers.get("cache-status") ?? ""];
  const { config, layers } = (await answer.json()) as Manifest;
  for (const { digest } of [config, ...layers]) {
    const blob = await pull(`${node.url}/v2/${repository}/blobs/${digest}`);
    assert.deepEqual([blob.status, blob.digest], [200, digest]);
    from.push(String(blob.headers["cache-status"]));
  }
  return from;
}

interface Services {
  readonly dir: string;
  readonly hub: Hub;
  readonly s3: S3Server;
  readonly redisUrl: string;
}

async function startNode(id: string, { dir, hub, s3, redisUrl }: Services): Promise<Pullring> {
  const listen = `127.0.0.1:${await freePort()}`;
  const { bucket, endpoint, accessKeyId, secretAccessKey } = s3;
  return startPullring({
    dir: join(dir, id),
    config: {
      upstreams: asDockerHub(hub),
      node: { id },
      cluster: { redis: { url: redisUrl }, peer: { listen, url: `http://${listen}`, secret: "of this test" } },
      storage: { s3: { bucket, endpoint, accessKeyId, secretAccessKey, forcePathStyle: true } },
    },
  });
}

const skip = needsS3() || needsRedis();

test(
  "a node with an empty disk and the bucket serves everything without upstream",
  { skip, timeout: 120_000 },
  async () => {
    await using stack = new AsyncDisposableStack();
    const { path: dir } = stack.use(await mkdtempDisposable(join(tmpdir(), "pullring-s3-nodes-")));
    const s3 = await startS3({ mayShare: true });
    stack.defer(() => s3.stop());
    const redis = await startRedis();
    stack.defer(() => redis.stop());
    const hub = await startHub();
    let isHubOpen = true;
    stack.defer(() => (isHubOpen ? hub.close() : undefined));
    // One that is verified before its head, one of some pieces, one above 64 MiB that goes up in parts.
    hub.content.addImage({ repository, tag: "1", layers: [100_000, 5_000_000, 80_000_000] });
    const services = { dir, hub, s3, redisUrl: redis.url };

    const first = [await startNode("n1", services), await startNode("n2", services)];
    for (const node of first) await pullImage(node);
    const blobsInBucket = async (): Promise<number> => (await s3.keys("v1/blobs/")).length;
    await eventually(async () => (await blobsInBucket()) === 5, { timeoutMs: 20_000, intervalMs: 200 });
    await eventually(async () => (await s3.keys("v1/records/")).some((key) => key.endsWith("/_tags/1.json")));
    // What a stop flushes is there as well; nothing of the first nodes is left but the bucket.
    for (const node of first) await node.stop();
    await hub.close();
    isHubOpen = false;

    const late = await startNode("n3", services);
    stack.defer(() => late.stop());
    for (const from of await pullImage(late)) assert.match(from, /fwd=miss; detail=s3/);
    // And with S3 gone too, what the node has by now.
    await s3.stop();
    for (const from of await pullImage(late)) assert.match(from, /hit/);
  },
);
