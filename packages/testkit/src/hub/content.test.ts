import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import { chunkBytes, concatBytes, digestOfBytes, readAll, sliceOf, textBytes } from "./bytes.ts";
import { makeContentStore } from "./content.ts";
import { makeImages, mediaTypes } from "./images.ts";
import { makePages } from "./pages.ts";
import { tarAround, tarBytesMin, tarOf } from "./tar.ts";

const repository = "library/alpine";

function contentOf(seed: number) {
  const store = makeContentStore(seed);
  return { ...store, ...makeImages(store) };
}

test("the same seed gives the same digests, another seed others", () => {
  const make = (seed: number) => {
    const content = contentOf(seed);
    const index = content.addIndex({ repository, platforms: ["linux/amd64", "linux/arm64"], attestation: true });
    return [index.digest, content.addBlob({ repository, size: 100 }).digest];
  };
  assert.deepEqual(make(7), make(7));
  assert.notDeepEqual(make(7), make(8));
});

test("drawn bytes are the same however they are read", () => {
  const bytes = makePages(3)(42, 3_000_000);
  const whole = readAll(bytes);
  for (const [start, size] of [
    [0, 1],
    [4090, 20],
    [8, 4],
    [1_048_570, 5000],
    [1_048_576, 4096],
    [2_999_999, 1],
  ]) {
    const part = readAll(sliceOf(bytes, start ?? 0, size ?? 0));
    assert.ok(part.equals(whole.subarray(start, (start ?? 0) + (size ?? 0))), `${size} bytes at ${start}`);
  }
  assert.equal(digestOfBytes(bytes), `sha256:${createHash("sha256").update(whole).digest("hex")}`);
});

test("no page is like another, in the blob or in other blobs", () => {
  const pages = makePages(3);
  const seen = new Set<string>();
  for (const id of [1, 2]) {
    const whole = readAll(pages(id, 2 * 1024 * 1024));
    for (let at = 0; at < whole.length; at += 4096) seen.add(whole.toString("latin1", at, at + 4096));
  }
  assert.equal(seen.size, 2 * 512);
});

test("blobs too big for memory can be read at any place", () => {
  const size = 10 * 1024 ** 3;
  const bytes = makePages(3)(1, size);
  assert.equal(readAll(sliceOf(bytes, size - 10, 10)).length, 10);
  assert.notDeepEqual(readAll(sliceOf(bytes, 2 ** 33, 16)), readAll(sliceOf(bytes, 0, 16)));
});

test("joined bytes are read across their seams", () => {
  const joined = concatBytes([textBytes("abc"), textBytes(""), textBytes("defg"), textBytes("h")]);
  assert.equal(readAll(joined).toString(), "abcdefgh");
  assert.equal(readAll(sliceOf(joined, 2, 4)).toString(), "cdef");
});

test("digests may be sha512", () => {
  const content = contentOf(1);
  const size = chunkBytes + 1;
  const blob = content.addBlob({ repository, size, algorithm: "sha512" });
  assert.match(blob.digest, /^sha512:[0-9a-f]{128}$/);
  const held = content.find(repository)?.blobs.get(blob.digest);
  assert.equal(held && digestOfBytes(held, "sha512"), blob.digest);
});

test("a layer of files is a gzipped tar whose digest before compression the config names", () => {
  const content = contentOf(1);
  const files = { "etc/": "", "etc/os-release": "NAME=hub\n" };
  const image = content.addImage({ repository, tag: "1", layers: [files, 5_000, 3], platform: "linux/arm64/v8" });
  const blobs = content.find(repository)?.blobs;
  const read = (digest = "") => readAll(blobs?.get(digest) ?? textBytes(""));
  const config = JSON.parse(read(image.config.digest).toString()) as {
    architecture: string;
    variant: string;
    rootfs: { diff_ids: string[] };
  };
  const tar = gunzipSync(read(image.layers[0]?.digest));
  assert.ok(tar.equals(tarOf(files)));
  assert.equal(
    config.rootfs.diff_ids[0],
    digestOfBytes({ size: tar.length, copy: (target, at) => tar.copy(target, 0, at) }),
  );
  assert.deepEqual(
    config.rootfs.diff_ids.slice(1),
    image.layers.slice(1).map(({ digest }) => digest),
  );
  assert.deepEqual([config.architecture, config.variant], ["arm64", "v8"]);
  assert.deepEqual(
    image.layers.slice(1).map(({ size }) => size),
    [5_000, 3],
  );
});

test("a tar header has a right checksum and the size of what follows", () => {
  const tar = readAll(
    tarAround({ name: "noise.bin", size: 5_000, noise: (size) => sliceOf(textBytes("x".repeat(size)), 0, size) }),
  );
  const header = tar.subarray(0, 512);
  const declared = Number.parseInt(header.toString("latin1", 148, 154), 8);
  const blanked = Buffer.from(header).fill(" ", 148, 156);
  assert.equal(
    declared,
    blanked.reduce((sum, byte) => sum + byte, 0),
  );
  const fileSize = Number.parseInt(header.toString("latin1", 124, 135), 8);
  assert.equal(fileSize, 3_072);
  assert.ok(tar.subarray(512 + fileSize).every((byte) => byte === 0));
  assert.equal(tar.length, 5_000);
  assert.ok(tarBytesMin <= 1_536);
});

test("an index names its platforms and, if wished, their attestations", () => {
  const content = contentOf(1);
  const index = content.addIndex({ repository, tag: "1", platforms: ["linux/amd64"], attestation: true });
  const manifests = content.find(repository)?.manifests;
  const document = manifests?.get(index.digest)?.document;
  assert.deepEqual(
    document?.manifests?.map(({ digest, platform }) => [digest, platform?.architecture]),
    [
      [index.images["linux/amd64"]?.digest, "amd64"],
      [index.attestations[0]?.digest, "unknown"],
    ],
  );
  assert.equal(content.addIndex({ repository, platforms: [], format: "docker" }).mediaType, mediaTypes.dockerList);
});

test("a blob can be put into a second repository, and taken out", () => {
  const content = contentOf(1);
  const { digest } = content.addBlob({ repository, size: 10 });
  content.mountBlob(repository, "acme/copy", digest);
  assert.ok(content.removeBlob(repository, digest));
  assert.ok(content.find("acme/copy")?.blobs.has(digest));
  assert.throws(() => content.mountBlob(repository, "acme/copy", digest), /holds no blob/);
});
