import { isDigest, isDigestReference, parseName, parseReference, type Digest, type Tag } from "@pullring/oci";

import type { Tree } from "./tree.ts";

/**
 * What the Distribution registry (`registry:2`, `docker-registry`) keeps under its root, as its `registry/storage/paths.go` lays it out:
 *
 * ```
 * docker/registry/v2/
 *   blobs/<algorithm>/<first two of hex>/<hex>/data
 *   repositories/<name>/_manifests/revisions/<algorithm>/<hex>/link
 *   repositories/<name>/_manifests/tags/<tag>/current/link
 *   repositories/<name>/_layers/<algorithm>/<hex>/link
 * ```
 *
 * A link file holds a digest. Whatever has another name is nothing of its own, or of no use here: uploads, the history of tags.
 */
const root = "docker/registry/v2";
const blobPath = /^blobs\/([a-z0-9]+)\/[0-9a-f]{2}\/([0-9a-f]+)\/data$/;
const linkPath =
  /^repositories\/(.+)\/(?:_manifests\/(?:revisions\/([a-z0-9]+)\/([0-9a-f]+)|tags\/([^/]+)\/current)|_layers\/([a-z0-9]+)\/([0-9a-f]+))\/link$/;

export interface DistributionBlob {
  readonly digest: Digest;
  readonly size: number;
  /** Wall ms of its arrival. */
  readonly modifiedAt: number;
  /** In the tree. */
  readonly path: string;
}

/** That a repository has a manifest or a blob, or that a tag of it points at one. */
export type DistributionLink =
  | { readonly kind: "manifest" | "blob"; readonly repository: string; readonly digest: Digest }
  | {
      readonly kind: "tag";
      readonly repository: string;
      readonly tag: Tag;
      readonly digest: Digest;
      /** Wall ms: when it was pulled. */
      readonly modifiedAt: number;
    };

export interface Distribution {
  blobs(): AsyncIterable<DistributionBlob>;
  links(): AsyncIterable<DistributionLink>;
}

export function readDistribution(tree: Tree): Distribution {
  const below = (path: string): string => path.slice(root.length + 1);

  return {
    async *blobs() {
      for await (const { path, size, modifiedAt } of tree.list(`${root}/blobs`)) {
        const [, algorithm = "", hex = ""] = blobPath.exec(below(path)) ?? [];
        const digest = `${algorithm}:${hex}`;
        if (isDigest(digest)) yield { digest, size, modifiedAt, path };
      }
    },
    async *links() {
      for await (const { path, modifiedAt } of tree.list(`${root}/repositories`)) {
        const found = linkPath.exec(below(path));
        if (!found) continue;
        const [, repository = "", revision, revisionHex, tag, layer, layerHex] = found;
        if (!isWellFormed(() => parseName(repository))) continue;
        if (tag === undefined) {
          const digest = `${revision ?? layer}:${revisionHex ?? layerHex}`;
          if (isDigest(digest)) yield { kind: revision === undefined ? "blob" : "manifest", repository, digest };
        } else if (isTag(tag)) {
          const digest = (await tree.text(path)).trim();
          if (isDigest(digest)) yield { kind: "tag", repository, tag, digest, modifiedAt };
        }
      }
    },
  };
}

function isWellFormed(parse: () => unknown): boolean {
  try {
    parse();
    return true;
  } catch {
    return false;
  }
}

const isTag = (text: string): text is Tag =>
  isWellFormed(() => parseReference(text)) && !isDigestReference(text as Tag);
