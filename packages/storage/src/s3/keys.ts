import { createHash } from "node:crypto";

import { isDigest, algorithmOf, hexOf, type Digest } from "@pullring/oci";
import type { RecordKey } from "@pullring/core";

import { recordPath } from "../record-path.ts";

/**
 * What lies in the bucket, under the configured prefix:
 *
 * ```
 * v1/blobs/<algorithm>/<2 hex>/<hex>       verified bytes; metadata: access (public, linked), at (ms since the epoch)
 * v1/records/<as on disk>                  {key, value, sum}
 * v1/tombstones/<sha256 of the key>        {key, atMs}
 * v1/used/<day>/<random>                   digests that were asked for, one a line, as one node noted them
 * v1/canary/<random>/…                     gone after a moment
 * ```
 *
 * Names of blobs are spread by their digests, so the service can split its index between them.
 */
export interface Keys {
  readonly blobs: string;
  readonly records: string;
  readonly tombstones: string;
  readonly used: string;
  readonly canary: string;
  blob(digest: Digest): string;
  /** The digest of a blob's key; undefined for whatever else lies there. */
  digestOf(key: string): Digest | undefined;
  record(key: RecordKey): string;
  /** Where the links of a tag's repository lie; `tag` is the key of the tag's record. */
  linksBeside(tag: string): string;
  tombstone(key: string): string;
}

/** An object's name has 1,024 bytes at most. */
const recordBytesMax = 800;

export function keysUnder(prefix: string): Keys {
  const root = prefix === "" ? "v1" : `${prefix.replace(/\/+$/, "")}/v1`;
  const folders = {
    blobs: `${root}/blobs/`,
    records: `${root}/records/`,
    tombstones: `${root}/tombstones/`,
    used: `${root}/used/`,
    canary: `${root}/canary/`,
  };
  return {
    ...folders,
    blob: (digest) => `${folders.blobs}${algorithmOf(digest)}/${hexOf(digest).slice(0, 2)}/${hexOf(digest)}`,
    digestOf(key) {
      const [algorithm = "", , hex = "", ...rest] = key.slice(folders.blobs.length).split("/");
      const digest = `${algorithm}:${hex}`;
      return rest.length === 0 && isDigest(digest) ? digest : undefined;
    },
    record(key) {
      const path = recordPath(key);
      if (Buffer.byteLength(path) <= recordBytesMax) return folders.records + path;
      return `${folders.records}_long/${key.kind}/${sha256(path)}.json`;
    },
    linksBeside: (tag) => tag.replace(/_tags\/[^/]*$/, "_links/"),
    tombstone: (key) => folders.tombstones + sha256(key),
  };
}

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

/** The digest that a link's key names. */
export function linkedDigest(key: string): Digest | undefined {
  const found = /_links\/(\w+)\/([0-9a-f]+)\.json$/.exec(key);
  const digest = `${found?.[1]}:${found?.[2]}`;
  return isDigest(digest) ? digest : undefined;
}
