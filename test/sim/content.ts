import { createHash } from "node:crypto";

import type { Repository } from "@pullring/core";
import type { Digest, Tag } from "@pullring/oci";

import type { Random } from "../real/random.ts";

export interface Item {
  readonly kind: "blob" | "manifest";
  readonly digest: Digest;
  readonly bytes: Buffer;
  /** Upstream has it in these. */
  readonly repositories: readonly Repository[];
}

/** What upstream has: the oracle of a run. */
export interface Content {
  readonly repositories: readonly Repository[];
  readonly items: readonly Item[];
  readonly blobs: readonly Item[];
  readonly manifests: readonly Item[];
  item(digest: Digest): Item;
  has(repository: Repository, digest: Digest): boolean;
  /** Whether nobody is kept from these bytes: an anonymous client of upstream could have them. */
  isPublic(digest: Digest): boolean;
  /** All that the tag has pointed at so far, the latest last. */
  tagged(repository: Repository): readonly Digest[];
  moveTag(repository: Repository): void;
}

const repository = (name: string): Repository => ({ upstream: "docker.io", name });
const open = repository("acme/open");
const closed = repository("acme/closed");
const closedToo = repository("acme/closed-too");
const memberships = [[open], [closed], [closed, closedToo], [open, closed]];

export const tag = "latest" as Tag;
export const manifestType = "application/vnd.oci.image.manifest.v1+json";
export const isOpen = ({ name }: Repository): boolean => name === open.name;

const digestOf = (bytes: Buffer): Digest => `sha256:${createHash("sha256").update(bytes).digest("hex")}` as Digest;

/** Versions that each tag may move through. */
const versions = 2;

export function makeContent(sizes: readonly number[], random: Random): Content {
  const repositories = [open, closed, closedToo];
  const make = (kind: Item["kind"], bytes: Buffer, where: readonly Repository[]): Item => ({
    kind,
    digest: digestOf(bytes),
    bytes,
    repositories: where,
  });
  const blobs = sizes.map((size, index) => {
    // Every piece tells where it belongs, so that no two of them can stand for each other.
    const bytes = Buffer.alloc(size);
    for (let at = 0; at + 4 <= size; at += 4) bytes.writeUInt32LE((index << 24) | at, at);
    if (size >= 8) bytes.writeUInt32LE(random.below(2 ** 32), 0);
    else bytes.fill(random.below(256));
    return make("blob", bytes, memberships[index % memberships.length] ?? [open]);
  });
  const images = [open, closed].flatMap((of) =>
    Array.from({ length: versions }, (_, version) => {
      const layers = blobs.filter(({ repositories: where }) => where.includes(of));
      const text = JSON.stringify({
        schemaVersion: 2,
        mediaType: manifestType,
        config: descriptor("config.v1+json", layers[0] ?? blobs[0]),
        layers: layers.map((layer) => descriptor("layer.v1.tar", layer)),
        annotations: { version: String(version), salt: String(random.next()) },
      });
      return make("manifest", Buffer.from(text), [of]);
    }),
  );
  const items = [...blobs, ...images];
  const byDigest = new Map(items.map((item) => [item.digest, item]));
  const tagged = new Map<string, Digest[]>();
  const at = (of: Repository): Digest[] => tagged.get(of.name) ?? [];

  const content: Content = {
    repositories,
    items,
    blobs,
    manifests: images,
    item(digest) {
      const item = byDigest.get(digest);
      if (!item) throw new Error(`upstream never had ${digest}`);
      return item;
    },
    has: (of, digest) => byDigest.get(digest)?.repositories.includes(of) ?? false,
    isPublic: (digest) => content.has(open, digest),
    tagged: at,
    moveTag(of) {
      const next = images.filter((image) => image.repositories.includes(of))[at(of).length];
      if (next) tagged.set(of.name, [...at(of), next.digest]);
    },
  };
  content.moveTag(open);
  content.moveTag(closed);
  return content;
}

const descriptor = (type: string, item: Item | undefined) => ({
  mediaType: `application/vnd.oci.image.${type}`,
  digest: item?.digest,
  size: item?.bytes.length,
});
