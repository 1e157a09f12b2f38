import type { Hub } from "@pullring/testkit";

import type { Random } from "../real/random.ts";
import type { SoakBlob, SoakContent, SoakImage } from "../soak/content.ts";

/** What clients ask for at the moment: the newest of an upstream that grows. */
export interface KillContent extends SoakContent {
  readonly blobs: readonly SoakBlob[];
  readonly images: readonly SoakImage[];
  /** One that only an account can pull. */
  readonly linked: SoakBlob | undefined;
  /** Another image, cold everywhere. The answer is what nobody will ask for any more. */
  add(options: { readonly random: Random; readonly isBig: boolean }): readonly SoakBlob[];
}

interface Added {
  readonly image: SoakImage;
  readonly blobs: readonly SoakBlob[];
}

/** Repositories that everybody can pull, and one for which an account is needed. */
const repositories = ["library/kill", "library/other", "acme/kill"];
const sizes = [0, 1, 40_000, 300_000, 1_000_000, 2_000_000];
const layersPerImage = 3;
/** So that nearly everything is cold or has just been fetched. */
const imagesAskedFor = 5;
const bigBytes = 70 * 1024 * 1024;

export function makeContent({ content }: Hub): KillContent {
  let recent: readonly Added[] = [];
  /** It takes a while, so it is asked for until the next one is there. */
  let big: SoakBlob | undefined;
  let count = 0;

  function addBig(repository: string): readonly SoakBlob[] {
    const old = big;
    big = { ...content.addBlob({ repository, size: bigBytes }), repository };
    return old ? [old] : [];
  }

  return {
    get blobs() {
      return [...recent.flatMap(({ blobs }) => blobs), ...(big ? [big] : [])];
    },
    get images() {
      return recent.map(({ image }) => image);
    },
    get linked() {
      return recent.find(({ image }) => image.repository.startsWith("acme/"))?.blobs[0];
    },
    bytes({ repository, digest }, start, size) {
      const target = Buffer.alloc(size);
      if (size > 0) content.find(repository)?.blobs.get(digest)?.copy(target, start);
      return target;
    },
    add({ random, isBig }) {
      const repository = repositories[count % repositories.length] ?? "";
      count += 1;
      const layers = Array.from({ length: layersPerImage }, () => random.pick(sizes));
      const tag = `t${count}`;
      const image = content.addImage({ repository, tag, layers, private: repository.startsWith("acme/") });
      const blobs = [image.config, ...image.layers].map((blob) => ({ ...blob, repository }));
      recent = [...recent, { image: { repository, tag, digest: image.digest }, blobs }];
      const over = recent.slice(0, -imagesAskedFor).flatMap((added) => added.blobs);
      recent = recent.slice(-imagesAskedFor);
      return [...over, ...(isBig ? addBig(repository) : [])];
    },
  };
}
