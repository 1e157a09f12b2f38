import * as z from "zod";

/** What the calls answer and take: for their types, for the check of what comes in, and for the OpenAPI document. */
const count = z.int().min(0);
const nodeId = z.string().meta({ description: "A node's id" });
const share = z.number().min(0).max(1).meta({ description: "Part of all keys" });
const missing = z.array(nodeId).meta({ description: "Nodes that could not be asked" });

export const ringAnswer = z.strictObject({
  epoch: z.string().meta({ description: "The same wherever algorithm, ring names and weights are" }),
  algorithm: z.enum(["ketama", "rendezvous"]),
  points: count,
  self: nodeId,
  nodes: z.array(
    z.strictObject({
      id: nodeId,
      ringName: z.string(),
      url: z.string(),
      weight: count,
      state: z.enum(["joining", "active", "leaving"]),
      share,
      lastSeenMs: z.number().meta({ description: "How long ago it was heard of" }),
      benched: z.boolean().meta({ description: "Left out for a while by the node that answers" }),
    }),
  ),
});

export const ownerAnswer = z.strictObject({
  key: z.string().meta({ description: "What is hashed" }),
  hash: count,
  owner: nodeId,
  next: z.array(nodeId).meta({ description: "Who follows when the owner is not there" }),
});

/** Sizes of lists are bounded: a ring of all of it is built for one answer. */
const nodesMax = 256;
const id = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, "a node's id");

export const previewBody = z.strictObject({
  add: z
    .array(
      z.strictObject({
        id,
        weight: z.int().min(1).max(100).default(1),
        ringName: z
          .string()
          .regex(/^[\w.:/[\]-]{1,128}$/, "a ring name")
          .optional(),
      }),
    )
    .max(nodesMax)
    .default([]),
  remove: z.array(id).max(nodesMax).default([]),
});

export const previewAnswer = z.strictObject({
  moved: share,
  nodes: z.array(z.strictObject({ id: nodeId, before: share, after: share })),
});

export const drainAnswer = z.strictObject({
  node: nodeId,
  draining: z.boolean(),
  told: z.boolean().meta({ description: "Whether the others can know; if not, they will with Redis' return" }),
});

const fill = z.strictObject({
  digest: z.string(),
  repository: z.string(),
  bytes: count,
  total: count.nullable(),
  source: z.string().meta({ description: "upstream:<name>, s3, peer:<node>, or none while it waits" }),
  lane: z.string().nullable(),
  readers: count,
  rate: z.number().meta({ description: "Bytes per second" }),
});

/** What one node tells another of its fills. */
export const fillsTold = z.array(fill);

export const fillsAnswer = z.strictObject({
  fills: z.array(z.strictObject({ node: nodeId, ...fill.shape })),
  missing,
});

export const purgeAnswer = z.strictObject({
  purged: z.string().meta({ description: "A digest, upstream/repo:tag, or upstream/repo for all its tags" }),
  at: z.iso.datetime().meta({ description: "What is fetched later stays" }),
  nodes: z.array(z.strictObject({ node: nodeId })).meta({ description: "Nodes that have removed it" }),
  s3: z.enum(["purged", "failed", "none"]),
  missing,
});

export const configAnswer = z.record(z.string(), z.unknown());

export const problemAnswer = z.strictObject({
  title: z.string(),
  status: count,
  detail: z.string().optional(),
});
