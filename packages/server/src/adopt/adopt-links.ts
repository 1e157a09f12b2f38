import { limits, type Access, type RecordStore, type Repository } from "@pullring/core";
import { parseManifest, type Digest, type Manifest } from "@pullring/oci";
import type { Adoption, Distribution, DistributionLink } from "@pullring/storage";

export interface AdoptedLinks {
  readonly repositories: number;
  readonly manifests: number;
  readonly tags: number;
  /** Manifests and tags that did not come: their bytes are not here, or they are none that digests to its bytes (schema 1). */
  readonly leftOut: number;
}

interface Known {
  readonly kind: "manifest" | "blob";
  readonly mediaType?: string;
  readonly size?: number;
  readonly access: Access;
}

export interface AdoptLinksOptions {
  readonly source: Pick<Distribution, "links">;
  readonly adoption: Pick<Adoption, "read" | "has">;
  readonly records: RecordStore;
  /** Canonical name. */
  readonly upstream: string;
  readonly access: Access;
}

/** What a node would have written down had it pulled all this itself: links, and tags that are as old as they are. */
export async function adoptLinks(options: AdoptLinksOptions): Promise<AdoptedLinks> {
  const { source, adoption, records, upstream, access } = options;
  const repositories = new Set<string>();
  let [manifests, tags, leftOut] = [0, 0, 0];

  async function manifestOf(digest: Digest): Promise<(Manifest & { readonly size: number }) | undefined> {
    const bytes = await adoption.read(digest, limits.manifestBytesMax);
    const manifest = bytes && parseManifest(bytes);
    return manifest && { ...manifest, size: bytes.length };
  }

  /** What is known already stays; but a layer's own link says less than its manifest does. */
  async function link(repository: Repository, digest: Digest, value: Omit<Known, "access">): Promise<void> {
    const key = { repository, kind: "link" as const, name: digest };
    const known = (await records.get(key)) as Known | undefined;
    if (!known || (known.mediaType === undefined && value.mediaType !== undefined))
      await records.put(key, { ...value, access });
  }

  async function addManifest(repository: Repository, digest: Digest): Promise<boolean> {
    const manifest = await manifestOf(digest);
    if (!manifest) return false;
    const { mediaType, size, descriptors } = manifest;
    await link(repository, digest, { kind: "manifest", mediaType, size });
    for (const named of descriptors)
      await link(repository, named.digest, { kind: named.kind, mediaType: named.mediaType, size: named.size });
    return true;
  }

  /** A record that is newer than the registry's stays. */
  async function addTag(repository: Repository, { tag, digest, modifiedAt }: DistributionTag): Promise<boolean> {
    const manifest = await manifestOf(digest);
    if (!manifest) return false;
    const key = { repository, kind: "tag" as const, name: tag };
    const current = (await records.get(key)) as { readonly checkedAt: number } | undefined;
    const { mediaType, size } = manifest;
    if ((current?.checkedAt ?? 0) < modifiedAt)
      await records.put(key, { digest, access, checkedAt: Math.floor(modifiedAt), mediaType, size });
    return true;
  }

  for await (const found of source.links()) {
    const repository = { upstream, name: found.repository };
    repositories.add(found.repository);
    if (found.kind === "tag") {
      if (await addTag(repository, found)) tags += 1;
      else leftOut += 1;
    } else if (found.kind === "manifest") {
      if (await addManifest(repository, found.digest)) manifests += 1;
      else leftOut += 1;
    } else if (adoption.has(found.digest)) await link(repository, found.digest, { kind: "blob" });
  }
  return { repositories: repositories.size, manifests, tags, leftOut };
}

type DistributionTag = Extract<DistributionLink, { kind: "tag" }>;
