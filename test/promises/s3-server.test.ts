import assert from "node:assert/strict";
import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { after, before, describe, test } from "node:test";

import { PullringError, type Access, type BlobHead } from "@pullring/core";
import type { Digest } from "@pullring/oci";
import { openDisk, openS3, withSharedRecords, type Disk, type S3, type S3Options } from "@pullring/storage";
import {
  digestOf,
  eventually,
  jumpingClock,
  memoryRecords,
  recordStoreSuite,
  sampleBytes,
  sampleDigest,
  trickyKeys,
} from "@pullring/testkit";

import { rssBytes } from "../real/proc.ts";
import { askS3 } from "../real/s3-request.ts";
import { needsS3, startS3, type S3Server } from "../real/s3.ts";

const MiB = 1024 * 1024;
const day = 86_400_000;
const repository = { upstream: "docker.io", name: "library/alpine" };
const quiet = { info: () => {}, warn: () => {} };

interface Node extends AsyncDisposable {
  readonly s3: S3;
  readonly disk: Disk;
  readonly clock: ReturnType<typeof jumpingClock>;
  readonly outcomes: string[];
  /** Puts bytes on the node's disk, as a fill does. */
  keep(bytes: Buffer, access?: Access): Promise<Digest>;
  /** Reads from S3; the digest is that of the bytes that came. */
  read(digest: Digest, offset?: number): Promise<{ digest: string; bytes: number; head: BlobHead | undefined }>;
  written(): Promise<void>;
}

describe("a real S3 server", { skip: needsS3() }, () => {
  let server: S3Server;
  let prefixes = 0;
  before(async () => void (server = await startS3()), { timeout: 90_000 });
  after(() => server.stop());

  const newPrefix = (): string => `run-${(prefixes += 1)}`;

  async function startNode(prefix: string, options: Partial<S3Options> = {}): Promise<Node> {
    const dir = await mkdtempDisposable(`${tmpdir()}/pullring-s3-node-`);
    const clock = jumpingClock();
    const disk = await openDisk({ path: dir.path, sizeBytesMax: 2 ** 40, log: quiet, clock, isPinned: () => false });
    const outcomes: string[] = [];
    const { bucket, endpoint, accessKeyId, secretAccessKey } = server;
    const s3 = await openS3({
      bucket,
      prefix,
      endpoint,
      forcePathStyle: true,
      expireMs: 30 * day,
      local: disk,
      clock,
      log: quiet,
      credentials: { accessKeyId, secretAccessKey: () => secretAccessKey },
      random: Math.random,
      observe: ({ kind, outcome }) => void outcomes.push(`${kind} ${outcome}`),
      ...options,
    });
    return {
      s3,
      disk,
      clock,
      outcomes,
      async keep(bytes, access = "public") {
        const digest = sampleDigest(bytes);
        const spool = await disk.spool(digest, { onGrow: () => {} });
        for (let at = 0; at < bytes.length; at += MiB) await spool.append(bytes.subarray(at, at + MiB));
        assert.equal(await spool.finish(), digest);
        assert.ok(await spool.settle({ keep: access }));
        return digest;
      },
      async read(digest, offset = 0) {
        const chunks: Buffer[] = [];
        let head: BlobHead | undefined;
        const sink = {
          head: (told: BlobHead) => void (head = told),
          write: (chunk: Uint8Array) => void chunks.push(Buffer.from(chunk)),
        };
        await s3.blobs.get({ repository, digest, offset }, sink);
        const bytes = Buffer.concat(chunks);
        return { digest: await digestOf(bytes), bytes: bytes.length, head };
      },
      async written() {
        await eventually(() => s3.capabilities(), { timeoutMs: 15_000 });
        assert.ok(await s3.flush(30_000));
      },
      async [Symbol.asyncDispose]() {
        await s3.close();
        await disk.close();
        await dir.remove();
      },
    };
  }

  const targetOf = (prefix: string, digest: Digest): string =>
    `/${server.bucket}/${prefix}/v1/blobs/sha256/${digest.slice(7, 9)}/${digest.slice(7)}`;

  test("is found out to be of use, and keeps nothing of the trial", async () => {
    const prefix = newPrefix();
    await using node = await startNode(prefix);
    const capabilities = await eventually(() => node.s3.capabilities(), { timeoutMs: 15_000 });
    assert.deepEqual([capabilities.ranges, capabilities.multipart], [true, true]);
    assert.equal(node.s3.degraded(), undefined);
    assert.deepEqual(await server.keys(prefix), []);
  });

  for (const [what, size] of [
    ["an empty blob", 0],
    ["a small blob", 100_003],
    ["a blob of one request", 20 * MiB + 1],
    ["a blob in parts", 70 * MiB + 1],
  ] as const)
    test(`${what} of one node is read by another, whole and from the middle`, async () => {
      const prefix = newPrefix();
      await using here = await startNode(prefix);
      await using there = await startNode(prefix);
      const bytes = sampleBytes(size, 7);
      const digest = await here.keep(bytes);
      here.s3.blobs.upload(digest);
      await here.written();
      assert.deepEqual(here.outcomes, ["upload ok"]);
      const whole = await there.read(digest);
      assert.deepEqual([whole.digest, whole.bytes], [digest, size]);
      assert.deepEqual(whole.head?.lane, { name: "s3", access: "public" });
      assert.deepEqual(await there.s3.blobs.stat(digest), { size, access: "public" });
      if (size === 0) return;
      const rest = await there.read(digest, size - 1_000);
      assert.equal(rest.digest, await digestOf(bytes.subarray(size - 1_000)));
      assert.deepEqual([rest.head?.offset, rest.head?.size], [size - 1_000, size]);
      await here.s3.blobs.remove(digest);
      await assert.rejects(there.read(digest), (error) => error instanceof PullringError && error.code === "missing");
    });

  test("many nodes that store the same blob store it right, and once where conditions are honoured", async () => {
    const prefix = newPrefix();
    const nodes = await Promise.all(Array.from({ length: 5 }, () => startNode(prefix)));
    try {
      const bytes = sampleBytes(3 * MiB, 8);
      const [digest = sampleDigest(bytes)] = await Promise.all(nodes.map((node) => node.keep(bytes)));
      await Promise.all(nodes.map((node) => eventually(() => node.s3.capabilities(), { timeoutMs: 15_000 })));
      for (const node of nodes) node.s3.blobs.upload(digest);
      await Promise.all(nodes.map((node) => node.written()));
      const outcomes = nodes.flatMap((node) => node.outcomes);
      assert.ok(
        outcomes.every((outcome) => outcome === "upload ok" || outcome === "upload present"),
        outcomes.join(),
      );
      if (nodes[0]?.s3.capabilities()?.conditionalPut === "honoured")
        assert.equal(outcomes.filter((outcome) => outcome === "upload ok").length, 1);
      assert.equal((await nodes[1]?.read(digest))?.digest, digest);
      assert.deepEqual((await server.keys(`${prefix}/v1/blobs`)).length, 1);
    } finally {
      for (const node of nodes) await node[Symbol.asyncDispose]();
    }
  });

  test("bytes that were spoilt in the bucket are replaced once they were noticed", async () => {
    const prefix = newPrefix();
    await using node = await startNode(prefix);
    const bytes = sampleBytes(100_000, 9);
    const digest = await node.keep(bytes);
    const spoilt = Buffer.from(bytes);
    spoilt[50_000]! ^= 1;
    const put = await askS3(server, { method: "PUT", target: targetOf(prefix, digest), body: spoilt });
    assert.equal(put.status, 200);
    assert.notEqual((await node.read(digest)).digest, digest, "reads are verified by whoever reads");
    node.s3.blobs.quarantine(digest);
    await assert.rejects(node.read(digest), /wrong bytes/);
    node.s3.blobs.upload(digest);
    await node.written();
    await using other = await startNode(prefix);
    assert.equal((await other.read(digest)).digest, digest);
  });

  test("an upload in parts takes no memory to speak of", async () => {
    await using node = await startNode(newPrefix());
    await eventually(() => node.s3.capabilities(), { timeoutMs: 15_000 });
    const digests: Digest[] = [];
    for (let seed = 20; seed < 22; seed += 1) digests.push(await node.keep(sampleBytes(130 * MiB, seed)));
    globalThis.gc?.();
    const idle = rssBytes(process.pid);
    let peak = idle;
    const watch = setInterval(() => (peak = Math.max(peak, rssBytes(process.pid))), 50);
    for (const digest of digests) node.s3.blobs.upload(digest);
    await node.written();
    clearInterval(watch);
    assert.deepEqual(node.outcomes, ["upload ok", "upload ok"]);
    assert.ok(peak - idle < 192 * MiB, `${Math.round((peak - idle) / MiB)} MiB`);
  });

  test("a node with an empty disk has the records and the word of purges", async () => {
    const prefix = newPrefix();
    await using here = await startNode(prefix);
    for (const [index, key] of trickyKeys.entries()) await here.s3.records.put(key, { index, checkedAt: index });
    const atMs = here.clock.now();
    here.s3.tombstones.put("docker.io/library/alpine:gone", atMs);
    await here.written();
    await using there = await startNode(prefix);
    const records = withSharedRecords(memoryRecords(), there.s3.records, there.clock);
    for (const [index, key] of trickyKeys.entries())
      assert.deepEqual(await records.get(key), { index, checkedAt: index });
    await there.s3.tombstones.read();
    assert.ok(there.s3.tombstones.isPurged("docker.io/library/alpine:gone", atMs));
  });

  test("what a tag names outlives the time of what nobody asked for", async () => {
    const prefix = newPrefix();
    await using node = await startNode(prefix);
    const descriptor = (digest: Digest) => ({ digest, mediaType: "application/octet-stream", size: 1_000 });
    const [layer, loose] = [await node.keep(sampleBytes(1_000, 30)), await node.keep(sampleBytes(1_000, 31))];
    const document = { schemaVersion: 2, config: descriptor(layer), layers: [descriptor(layer)] };
    const manifest = await node.keep(Buffer.from(JSON.stringify(document)));
    for (const digest of [layer, loose, manifest]) node.s3.blobs.upload(digest);
    await node.s3.records.put({ repository, kind: "tag", name: "latest" }, { digest: manifest, checkedAt: 1 });
    await node.written();
    await node.s3.sweep();
    assert.equal((await server.keys(`${prefix}/v1/blobs`)).length, 3);
    node.clock.shift(32 * day);
    await node.s3.sweep();
    const left = await server.keys(`${prefix}/v1/blobs`);
    assert.deepEqual(new Set(left.map((key) => key.split("/").at(-1))), new Set([layer.slice(7), manifest.slice(7)]));
  });

  test("parts that nobody puts together are no blob, and go after an hour", async () => {
    const prefix = newPrefix();
    await using node = await startNode(prefix);
    // Its trial has parts too.
    await node.written();
    const digest = sampleDigest(sampleBytes(16 * MiB, 40));
    const [, path = ""] = targetOf(prefix, digest).split(`/${server.bucket}/`);
    const begun = await askS3(server, { method: "POST", target: `/${server.bucket}/${path}?uploads` });
    const id = /<UploadId>([^<]+)</.exec(await begun.text())?.[1] ?? "";
    const target = `/${server.bucket}/${path}?partNumber=1&uploadId=${encodeURIComponent(id)}`;
    assert.equal((await askS3(server, { method: "PUT", target, body: sampleBytes(5 * MiB, 40) })).status, 200);
    assert.equal(await node.s3.blobs.stat(digest), undefined);
    const uploads = async (): Promise<string[]> => {
      const listed = await askS3(server, { method: "GET", target: `/${server.bucket}?uploads` });
      return [...(await listed.text()).matchAll(/<Key>([^<]+)</g)].map(([, key = ""]) => key);
    };
    assert.deepEqual(await uploads(), [path]);
    await node.s3.sweep();
    assert.deepEqual(await uploads(), [path], "it may be at work");
    node.clock.shift(2 * 3_600_000);
    await node.s3.sweep();
    assert.deepEqual(await uploads(), []);
  });

  test("a server that hangs holds up one read for two seconds, and is used within five of its return", async (t) => {
    const { program } = server;
    if (program === undefined) return t.skip("the server is not ours to stop");
    await using node = await startNode(newPrefix());
    const digest = await node.keep(sampleBytes(100_000, 50));
    node.s3.blobs.upload(digest);
    await node.written();
    program.kill("SIGSTOP");
    try {
      const started = performance.now();
      await assert.rejects(
        node.read(digest),
        (error) => error instanceof PullringError && error.code === "unavailable",
      );
      assert.ok(performance.now() - started < 2_600);
      const next = performance.now();
      for (let reads = 0; reads < 50; reads += 1) await assert.rejects(node.read(digest));
      assert.ok(performance.now() - next < 500);
      assert.match(node.s3.degraded() ?? "", /does not answer/);
    } finally {
      program.kill("SIGCONT");
    }
    const back = performance.now();
    await eventually(() => node.s3.degraded() === undefined, { timeoutMs: 6_000 });
    assert.ok(performance.now() - back < 5_000);
    assert.equal((await node.read(digest)).digest, digest);
  });

  test("a wrong secret is named as the reason", async (t) => {
    if (server.program === undefined) return t.skip("some servers check no signatures");
    const credentials = { accessKeyId: server.accessKeyId, secretAccessKey: () => "wrong" };
    await using node = await startNode(newPrefix(), { credentials });
    await eventually(() => node.s3.degraded()?.includes("SignatureDoesNotMatch"), { timeoutMs: 10_000 });
  });

  recordStoreSuite({
    name: "a real S3 server",
    async open() {
      const node = await startNode(newPrefix());
      return { records: node.s3.records, close: () => node[Symbol.asyncDispose]() as Promise<void> };
    },
  });
});
