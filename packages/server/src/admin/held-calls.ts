import type * as z from "zod";

import type { AdminCall, AdminFacts } from "./call.ts";
import { blobAnswer, cacheAnswer, imagesAnswer, imagesQuery, type ImageFacts } from "./held-answers.ts";
import { parseBlob } from "./image-key.ts";
import { queryParameters, readQuery } from "./query.ts";
import { isSelfOnly, node, togetherOf } from "./whole-cluster.ts";

/** What is cached, and where. */
export function heldCalls({ ring, held }: Pick<AdminFacts, "ring" | "held">): readonly AdminCall[] {
  return [
    {
      method: "GET",
      path: "/cache",
      summary: "What rests in each tier, and what came from there",
      changes: false,
      parameters: [node],
      answer: cacheAnswer,
      async run({ parameter }): Promise<z.output<typeof cacheAnswer>> {
        const { rows, missing } = await togetherOf(ring, held.tiers, isSelfOnly(parameter("node")));
        return { tiers: rows, missing };
      },
    },
    {
      method: "GET",
      path: "/images",
      summary: "The tags that nodes have a record of, in pages",
      changes: false,
      parameters: [...queryParameters(imagesQuery), node],
      answer: imagesAnswer,
      async run({ parameter }): Promise<z.output<typeof imagesAnswer>> {
        const { limit, ...query } = readQuery(imagesQuery, parameter);
        // One more than is shown: then there is a next page.
        const asked = held.images({ ...query, limit: limit + 1 });
        const { rows, missing } = await togetherOf(ring, asked, isSelfOnly(parameter("node")));
        return { ...pageOf(rows, limit), missing };
      },
    },
    {
      method: "GET",
      path: "/blobs/{digest}",
      summary: "Where a blob or manifest is, who is fetching it, and which repositories link to it",
      changes: false,
      parameters: [{ name: "digest", in: "path", required: true, description: "sha256:… or sha512:…" }, node],
      answer: blobAnswer,
      async run({ parameter }): Promise<z.output<typeof blobAnswer>> {
        const digest = parseBlob(parameter("digest"));
        const asked = togetherOf(ring, held.blob(digest), isSelfOnly(parameter("node")));
        const [s3, { rows, missing }] = await Promise.all([held.shared(digest), asked]);
        return { digest, owner: ring.ring().owner(digest), nodes: rows, s3, missing };
      },
    },
  ];
}

type Row = ImageFacts & { readonly node: string };

/** The first images of all nodes' rows: each node told its own first ones, so no smaller one is left out. */
function pageOf(rows: readonly Row[], limit: number): { images: Row[]; next: string | null } {
  const byImage = Map.groupBy(rows, imageName);
  const names = [...byImage.keys()].sort(byCode);
  const shown = names.slice(0, limit);
  const images = shown.flatMap((name) => [...(byImage.get(name) ?? [])].sort((a, b) => byCode(a.node, b.node)));
  return { images, next: names.length > limit ? (shown.at(-1) ?? null) : null };
}

export const imageName = ({ repository, tag }: Pick<ImageFacts, "repository" | "tag">): string =>
  `${repository}:${tag}`;

/** The same order on every node, whatever its locale. */
export const byCode = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
