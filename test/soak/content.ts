import type { Descriptor, Hub } from "@pullring/testkit";

import type { Random } from "../real/random.ts";

export interface SoakBlob extends Descriptor {
  readonly repository: string;
}

export interface SoakImage {
  readonly repository: string;
  readonly tag: string;
  readonly digest: string;
}

export interface SoakContent {
  readonly blobs: readonly SoakBlob[];
  readonly images: readonly SoakImage[];
  /** The truth about a part of a blob. */
  bytes(blob: SoakBlob, start: number, size: number): Buffer;
}

const repositories = 12;
const layersPerImage = 4;
/** From nothing to what takes a while. */
const sizes = [0, 1, 5000, 70_000, 300_000, 1_000_000, 4_000_000, 20_000_000];

/** Images in several repositories of the hub. */
export function fillHub({ content }: Hub, random: Random): SoakContent {
  const blobs: SoakBlob[] = [];
  const images: SoakImage[] = [];
  for (let index = 0; index < repositories; index++) {
    const [repository, tag] = [`library/soak${index}`, "1"];
    const layers = Array.from({ length: layersPerImage }, () => random.pick(sizes));
    const image = content.addImage({ repository, tag, layers });
    images.push({ repository, tag, digest: image.digest });
    blobs.push(...[image.config, ...image.layers].map((blob) => ({ ...blob, repository })));
  }
  const bytes = ({ repository, digest }: SoakBlob, start: number, size: number): Buffer => {
    const target = Buffer.alloc(size);
    if (size > 0) content.find(repository)?.blobs.get(digest)?.copy(target, start);
    return target;
  };
  return { blobs, images, bytes };
}
