import { mkdir, open, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { type Hub, mediaTypes, startHub } from "@pullring/testkit";

import type { Target } from "./run-load.ts";

/** One component would get `library/` in front on Docker Hub; with it, every contestant is asked the same path. */
const repository = "library/bench";

export interface Content {
  /** The document root of an upstream that serves it as a registry does. */
  readonly root: string;
  readonly manifest: Target & { readonly digest: string };
  /** By size in MB. */
  readonly blobs: ReadonlyMap<number, readonly Target[]>;
}

const chunkBytes = 1024 * 1024;

async function writeBlob(folder: string, digest: string, content: Hub["content"]): Promise<void> {
  const bytes = content.find(repository)?.blobs.get(digest);
  if (bytes === undefined) throw new Error(`no blob ${digest}`);
  await using file = await open(join(folder, digest), "w");
  for (let offset = 0; offset < bytes.size; offset += chunkBytes) {
    const chunk = Buffer.allocUnsafe(Math.min(chunkBytes, bytes.size - offset));
    bytes.copy(chunk, offset);
    await file.write(chunk);
  }
}

/** A manifest of about 8 KB, as an image of 50 layers has it. */
function addManifest(content: Hub["content"]) {
  const layer = (index: number) => ({
    mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
    digest: `sha256:${index.toString(16).padStart(64, "0")}`,
    size: 1_000_000 + index,
  });
  const config = { mediaType: "application/vnd.oci.image.config.v1+json", digest: layer(0).digest, size: 1000 };
  const layers = Array.from({ length: 50 }, (_, index) => layer(index + 1));
  const document = { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers };
  const bytes = Buffer.from(JSON.stringify(document));
  return { bytes, ...content.addManifest({ repository, bytes, mediaType: mediaTypes.ociManifest, tag: "1" }) };
}

/** Writes what is pulled in the bench below `dir`, as files that a static server hands out under a registry's paths. */
export async function writeContent(dir: string, blobsPerSize: ReadonlyMap<number, number>): Promise<Content> {
  const hub = await startHub();
  await hub.close();
  const { content } = hub;
  const [blobsDir, manifestsDir] = ["blobs", "manifests"].map((kind) => join(dir, "v2", repository, kind));
  if (blobsDir === undefined || manifestsDir === undefined) throw new Error("unreachable");
  await Promise.all([blobsDir, manifestsDir].map((folder) => mkdir(folder, { recursive: true })));
  const blobs = new Map<number, Target[]>();
  for (const [megabytes, count] of blobsPerSize) {
    const targets: Target[] = [];
    for (let index = 0; index < count; index++) {
      const { digest, size } = content.addBlob({ repository, size: megabytes * 1_000_000 });
      await writeBlob(blobsDir, digest, content);
      targets.push({ path: `/v2/${repository}/blobs/${digest}`, size });
    }
    blobs.set(megabytes, targets);
  }
  const { bytes, digest, size } = addManifest(content);
  for (const name of ["1", digest]) await writeFile(join(manifestsDir, name), bytes);
  return { root: dir, manifest: { path: `/v2/${repository}/manifests/${digest}`, size, digest }, blobs };
}
