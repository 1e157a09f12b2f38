import type { NodeId } from "@pullring/core";
import { parseDigest, type Digest } from "@pullring/oci";

import {
  blobTold,
  imagesAsked,
  imagesTold,
  tiersTold,
  type BlobFacts,
  type ImageFacts,
  type ImagesQuery,
  type TierFacts,
} from "./held-answers.ts";
import type { HeldHere, HeldView, Rows } from "./ports.ts";

/** What nodes ask each other for by the peer wire, beside fills and lanes. */
export type HeldViewName = "cache" | "images" | "blob";

export type AskHeld = (node: NodeId, view: HeldViewName, query: string) => Promise<unknown>;

/** What this node holds, and by `ask` what the others do: their word is read as a stranger's would be. */
export function heldOf(here: HeldHere, ask: AskHeld): HeldView {
  return {
    shared: (digest) => here.shared(digest),
    tiers: { here: () => here.tiers(), at: async (node) => tiersTold.parse(await ask(node, "cache", "")) },
    images: (query): Rows<ImageFacts> => ({
      here: () => here.images(query),
      at: async (node) => imagesTold.parse(await ask(node, "images", queryOf(query))),
    }),
    blob: (digest): Rows<BlobFacts> => ({
      here: async () => [await here.blob(digest)],
      at: async (node) => blobTold.parse(await ask(node, "blob", queryOf({ digest }))),
    }),
  };
}

type Told = readonly TierFacts[] | readonly ImageFacts[] | readonly BlobFacts[];

/** What a peer is told. Throws on a query that is none of ours. */
export async function tellHeld(here: HeldHere, view: HeldViewName, query: string): Promise<Told> {
  const given = Object.fromEntries(new URLSearchParams(query));
  if (view === "cache") return here.tiers();
  if (view === "images") return await here.images(imagesAsked.parse(given));
  return [await here.blob(parseDigest(given["digest"] ?? ""))];
}

const queryOf = (values: ImagesQuery | { readonly digest: Digest }): string =>
  new URLSearchParams(
    Object.entries(values).map(([name, value]): [string, string] => [name, String(value)]),
  ).toString();
