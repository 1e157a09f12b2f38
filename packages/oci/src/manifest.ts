import { isDigest, type Digest } from "./digest.ts";

export const mediaTypes = {
  dockerManifest: "application/vnd.docker.distribution.manifest.v2+json",
  dockerList: "application/vnd.docker.distribution.manifest.list.v2+json",
  ociManifest: "application/vnd.oci.image.manifest.v1+json",
  ociIndex: "application/vnd.oci.image.index.v1+json",
  ociArtifact: "application/vnd.oci.artifact.manifest.v1+json",
} as const;

const manifestTypes: ReadonlySet<string> = new Set(Object.values(mediaTypes));

/** The one Accept that goes upstream, whatever the client sent: answers must not depend on who asked first. */
export const manifestAccept = [...manifestTypes].join(", ");

/** A descriptor (image-spec) that a manifest names, and whether it is itself a manifest. */
export interface Descriptor {
  readonly kind: "manifest" | "blob";
  readonly digest: Digest;
  readonly mediaType: string;
  readonly size: number;
}

export interface Manifest {
  readonly mediaType: string;
  /** Children, config, layers and `blobs`; not `subject`, which need not exist. Descriptors without a verifiable digest are left out. */
  readonly descriptors: readonly Descriptor[];
}

/** What a Content-Type says of a manifest, if it names a manifest's type at all. */
export function manifestTypeIn(contentType: string | undefined): string | undefined {
  const declared = contentType?.split(";", 1)[0]?.trim().toLowerCase();
  return declared !== undefined && manifestTypes.has(declared) ? declared : undefined;
}

/**
 * Reads a manifest's type and descriptors. The type is the Content-Type that came with it, unless that is no manifest's
 * (missing, text/plain, an error page's): then `mediaType`, then the document's shape decide, for what is kept with the bytes
 * once is told to clients for as long as they are. Returns undefined for what is not a manifest that digests to its bytes:
 * no JSON object, or schema 1 (its digest leaves signatures out).
 */
export function parseManifest(bytes: Uint8Array, contentType?: string): Manifest | undefined {
  const document = parseObject(bytes);
  if (!document || document["schemaVersion"] === 1) return undefined;
  const mediaType = manifestType(document, contentType);
  if (mediaType === undefined) return undefined;
  const lists = [document["manifests"], document["layers"], document["blobs"], [document["config"]]];
  const descriptors = lists.flatMap((list) => (Array.isArray(list) ? list.flatMap(readDescriptor) : []));
  return { mediaType, descriptors };
}

function parseObject(bytes: Uint8Array): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString());
    return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

function manifestType(document: Record<string, unknown>, contentType?: string): string | undefined {
  const declared = manifestTypeIn(contentType);
  if (declared !== undefined) return declared;
  const inside = document["mediaType"];
  if (typeof inside === "string" && inside !== "") return inside;
  if (Array.isArray(document["manifests"])) return mediaTypes.ociIndex;
  return document["config"] || document["layers"] ? mediaTypes.ociManifest : undefined;
}

function readDescriptor(value: unknown): Descriptor[] {
  if (typeof value !== "object" || value === null) return [];
  const { digest, size, mediaType } = value as Record<string, unknown>;
  if (typeof digest !== "string" || !isDigest(digest) || !Number.isSafeInteger(size) || Number(size) < 0) return [];
  const type = typeof mediaType === "string" ? mediaType : "application/octet-stream";
  return [{ kind: manifestTypes.has(type) ? "manifest" : "blob", digest, mediaType: type, size: Number(size) }];
}
