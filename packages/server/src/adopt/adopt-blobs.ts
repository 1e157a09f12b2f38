import type { Access } from "@pullring/core";
import type { Adopted, Adoption, Distribution, DistributionBlob, Tree } from "@pullring/storage";

export interface AdoptProgress {
  readonly blobs: number;
  readonly blobsAll: number;
  readonly bytes: number;
  readonly bytesAll: number;
}

export interface AdoptedBlobs {
  readonly blobs: Readonly<Record<Adopted, number>>;
  /** Of the blobs that came now. */
  readonly bytes: number;
}

export interface AdoptBlobsOptions {
  readonly tree: Tree;
  readonly source: Distribution;
  readonly adoption: Adoption;
  readonly access: Access;
  readonly mayLink: boolean;
  readonly onProgress: (progress: AdoptProgress) => void;
}

/** The newest first: when the disk is full, what is left out is what came longest ago. */
export async function adoptBlobs(options: AdoptBlobsOptions): Promise<AdoptedBlobs> {
  const { tree, source, adoption, access, mayLink, onProgress } = options;
  const found: DistributionBlob[] = [];
  for await (const blob of source.blobs()) found.push(blob);
  found.sort((a, b) => b.modifiedAt - a.modifiedAt);
  const bytesAll = found.reduce((sum, { size }) => sum + size, 0);
  const blobs: Record<Adopted, number> = { linked: 0, copied: 0, held: 0, full: 0, wrong: 0 };
  let [done, seen, bytes] = [0, 0, 0];
  for (const { digest, size, modifiedAt, path } of found) {
    const local = tree.local(path);
    const blob = { digest, size, usedAt: modifiedAt, local, open: () => tree.open(path) };
    const outcome = await adoption.add(blob, { access, mayLink });
    blobs[outcome] += 1;
    if (outcome === "linked" || outcome === "copied") bytes += size;
    done += 1;
    seen += size;
    onProgress({ blobs: done, blobsAll: found.length, bytes: seen, bytesAll });
  }
  return { blobs, bytes };
}
