import * as z from "zod";

import { tierFacts } from "./held-answers.ts";

const count = z.int().min(0);
const at = z.iso.datetime();
const nodeId = z.string().meta({ description: "The node that it happened on" });

const fill = {
  digest: z.string(),
  repository: z.string(),
  bytes: count,
  total: count.nullable(),
  source: z.string(),
  lane: z.string().nullable(),
  readers: count,
  rate: z.number(),
};

/** What a node tells of itself. */
export const nodeEvent = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("ring").meta({ description: "As this node sees it, at the beginning and when it has changed" }),
    at,
    epoch: z.string(),
    nodes: z
      .array(z.strictObject({ id: z.string(), state: z.enum(["joining", "active", "leaving"]), benched: z.boolean() }))
      .max(512),
  }),
  z.strictObject({
    kind: z.literal("drain").meta({ description: "This node left the ring, or is back" }),
    at,
    draining: z.boolean(),
  }),
  z.strictObject({ kind: z.literal("degraded"), at, reasons: z.array(z.string()).max(64) }),
  z.strictObject({ kind: z.literal("recovered"), at }),
  z.strictObject({ kind: z.literal("purge"), at, purged: z.string() }),
  z.strictObject({ kind: z.literal("fill_started"), at, ...fill }),
  z.strictObject({ kind: z.literal("fill_progress").meta({ description: "Twice a second at most" }), at, ...fill }),
  z.strictObject({
    kind: z.literal("fill_ended"),
    at,
    digest: z.string(),
    repository: z.string(),
    bytes: count,
    state: z.enum(["done", "passed", "failed", "stopped"]),
    kept: z.boolean(),
  }),
  z.strictObject({
    kind: z.literal("counters").meta({ description: "At the beginning and every two seconds" }),
    at,
    tiers: z.array(tierFacts).max(16),
    fills: z.strictObject({ running: count, queued: count }),
  }),
]);

/** What peers tell each other. */
export const eventsTold = z.strictObject({ cursor: z.string().max(100), events: z.array(nodeEvent).max(2_000) });

/** Told by the node that is asked: whom it can't ask, when that has changed. */
const missing = z.strictObject({ kind: z.literal("missing"), at, missing: z.array(z.string()) });

/** One event as it is sent. */
export const eventAnswer = z.union([...nodeEvent.options, missing].map((event) => event.extend({ node: nodeId })));

export type NodeEvent = z.output<typeof nodeEvent>;

/** Without its time. */
type Timeless<E> = E extends unknown ? Omit<E, "at"> : never;
export type EventWords = Timeless<NodeEvent>;
export type SentWords = EventWords | Timeless<z.output<typeof missing>>;
