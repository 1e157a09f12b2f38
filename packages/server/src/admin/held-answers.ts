import * as z from "zod";

/** What the calls about what is cached answer, and what nodes tell each other for them. */
const count = z.int().min(0);
const nodeId = z.string().meta({ description: "A node's id" });
const missing = z.array(nodeId).meta({ description: "Nodes that could not be asked" });

export const tierFacts = z.strictObject({
  tier: z.enum(["memory", "disk", "peer", "s3", "upstream"]),
  bytes: count.nullable().meta({ description: "At rest; null = nothing rests there, or this node did not count it" }),
  bytesMax: count.nullable().meta({ description: "What it may take; null = not bounded" }),
  objects: count.nullable(),
  hits: count.meta({ description: "Answers to clients that came from there, since the node's start" }),
  sent: count.meta({ description: "Bytes of those answers" }),
  evictions: count.nullable().meta({ description: "What had to make room, since the node's start" }),
});

export const imageFacts = z.strictObject({
  repository: z.string().meta({ description: "upstream/repository" }),
  tag: z.string(),
  digest: z.string(),
  mediaType: z.string().nullable(),
  checkedAt: z.iso.datetime().meta({ description: "When upstream was last asked what the tag points at" }),
  bytes: count.nullable().meta({
    description:
      "Of the image and all its platforms whose manifests this node has; null = it does not have its manifest",
  }),
  here: count.nullable().meta({ description: "How much of that rests on this node" }),
});

const fill = z.strictObject({ bytes: count, total: count.nullable(), source: z.string(), readers: count });

/** Of one digest. */
export const blobFacts = z.strictObject({
  memory: z.boolean(),
  disk: z.boolean(),
  size: count.nullable(),
  access: z.enum(["public", "linked"]).nullable().meta({ description: "linked: served where a link allows it" }),
  fill: fill.nullable().meta({ description: "That brings it just now" }),
  repositories: z.array(z.string()).meta({ description: "Those that have a link to it, a hundred at most" }),
});

/** Rows that one node tells another at most. */
export const rowsMax = 501;

export const tiersTold = z.array(tierFacts).max(16);
export const imagesTold = z.array(imageFacts).max(rowsMax);
export const blobTold = z.array(blobFacts).max(1);

export const cacheAnswer = z.strictObject({
  tiers: z.array(z.strictObject({ node: nodeId, ...tierFacts.shape })),
  missing,
});

export const imagesAnswer = z.strictObject({
  images: z.array(z.strictObject({ node: nodeId, ...imageFacts.shape })).meta({
    description: "By image, then by node: a row for each node that has a record of it",
  }),
  next: z.string().nullable().meta({ description: "`after` of the next page; null = this is the last one" }),
  missing,
});

export const blobAnswer = z.strictObject({
  digest: z.string(),
  owner: nodeId.meta({ description: "Whose it is by the ring" }),
  nodes: z.array(z.strictObject({ node: nodeId, ...blobFacts.shape })),
  s3: z.strictObject({
    state: z.enum(["held", "absent", "unknown", "none"]).meta({ description: "none: there is no S3 here" }),
    size: count.nullable(),
  }),
  missing,
});

export const imagesQuery = z.strictObject({
  after: z.string().max(600).default("").meta({ description: "`next` of the page before" }),
  match: z
    .string()
    .max(200)
    .default("")
    .meta({ description: "Only images whose upstream/repository:tag contains this" }),
  limit: z.coerce.number<string>().int().min(1).max(500).default(100).meta({ description: "Images of one page" }),
});

/** One node asks another for one more than it shows. */
export const imagesAsked = imagesQuery.extend({ limit: z.coerce.number<string>().int().min(1).max(rowsMax) });

export type TierFacts = z.output<typeof tierFacts>;
export type ImageFacts = z.output<typeof imageFacts>;
export type BlobFacts = z.output<typeof blobFacts>;
export type ImagesQuery = z.output<typeof imagesQuery>;
