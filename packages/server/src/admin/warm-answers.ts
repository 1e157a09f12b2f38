import * as z from "zod";

const count = z.int().min(0);
const image = z.string().meta({ description: "upstream/repository:tag, or @digest" });
const state = z.enum(["held", "fetched", "failed"]).meta({
  description: "held: it was here, on another node or in S3 before",
});
const error = z.string().optional();

/** Platforms as clients write them; `all` for every one that an image has. */
const platform = z.union([
  z.literal("all"),
  z.string().regex(/^[a-z0-9]{1,32}\/[a-z0-9_]{1,32}(?:\/[a-z0-9.]{1,16})?$/),
]);

export const warmBody = z.strictObject({
  images: z.array(z.string().min(1).max(600)).min(1).max(1_000),
  platforms: z.array(platform).max(16).default([]).meta({
    description: "linux/amd64, linux/arm/v7, …; all for every one; none for that of the node that is asked",
  }),
});

/** One line. */
export const warmStep = z.discriminatedUnion("step", [
  z.strictObject({
    step: z.literal("manifest"),
    image,
    digest: z.string(),
    platform: z.string().nullable(),
    state,
    error,
  }),
  z.strictObject({ step: z.literal("image"), image, digest: z.string(), manifests: count, blobs: count, bytes: count }),
  z.strictObject({ step: z.literal("blob"), image, digest: z.string(), bytes: count, state, error }),
  z
    .strictObject({ step: z.literal("progress"), blobs: count, blobsAll: count, bytes: count, bytesAll: count })
    .meta({ description: "Of all images that are known so far; twice a second at most" }),
  z.strictObject({ step: z.literal("failed"), image, error: z.string() }),
  z
    .strictObject({
      step: z.literal("summary"),
      images: count,
      failed: count.meta({ description: "Images that are not all there" }),
      manifests: z.strictObject({ held: count, fetched: count, failed: count }),
      blobs: z.strictObject({ held: count, fetched: count, failed: count }),
      bytes: z.strictObject({ held: count, fetched: count }),
      ms: count,
    })
    .meta({ description: "The last line; without it the warming did not come to its end" }),
]);

export type WarmStep = z.output<typeof warmStep>;
export type WarmBody = z.output<typeof warmBody>;
