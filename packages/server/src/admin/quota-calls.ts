import type { NodeId } from "@pullring/core";
import * as z from "zod";

import type { LaneState } from "../quota/quota-watch.ts";
import type { AdminFacts, PlainCall } from "./call.ts";
import { isSelfOnly, node, togetherOf } from "./whole-cluster.ts";

const count = z.int().min(0);
const at = z.iso.datetime();

const lane = z.strictObject({
  upstream: z.string(),
  account: z.string().nullable().meta({ description: "Null = anonymous" }),
  egress: z.string(),
  source: z.string().nullable().meta({ description: "Whom upstream says it charges; null = it has not said yet" }),
  limit: count.nullable().meta({ description: "Counted requests in a window; null = unmetered, or no quota" }),
  remaining: z.int().nullable().meta({ description: "What upstream would say is left, less what is in flight" }),
  windowSec: count.nullable(),
  observedAt: at.nullable().meta({ description: "When upstream told it; null = assumed" }),
  coolDownUntil: at.nullable(),
  spent: count.nullable().meta({ description: "In this window, by all nodes" }),
  lane: z.string().meta({ description: "As in the metrics' labels" }),
  budget: z
    .string()
    .nullable()
    .meta({ description: "Lanes with the same one share it; null = the upstream has no quota" }),
  benched: z.string().nullable().meta({ description: "Why it is not used now: login, egress, paused" }),
  unmetered: z.boolean(),
  inFlight: count,
  resetAt: at.nullable().meta({ description: "When the window is over, as far as it is known" }),
  forecast: z
    .strictObject({
      perHour: z.number().min(0).meta({ description: "By the last quarter of an hour, whoever spends it" }),
      emptyAt: at.nullable().meta({ description: "Null = it lasts until its window is over" }),
    })
    .nullable(),
});

/** What one node tells another of its lanes. */
const lanesTold = z.array(lane);

const quotaAnswer = z.strictObject({
  lanes: z.array(z.strictObject({ node: z.string().meta({ description: "A node's id" }), ...lane.shape })),
  missing: z.array(z.string()).meta({ description: "Nodes that could not be asked" }),
  at: at.meta({ description: "Now, by the clock of the node that answers" }),
});

export type LaneRow = z.output<typeof lane>;

/** The lanes of this node, and by `ask` those of the others: their word is read as a stranger's would be. */
export interface QuotaView {
  here(): Promise<readonly LaneRow[]>;
  at(node: NodeId): Promise<readonly LaneRow[]>;
}

export function quotaOf(now: () => Promise<readonly LaneState[]>, ask: (node: NodeId) => Promise<unknown>): QuotaView {
  return {
    here: async () => (await now()).map(rowOf),
    at: async (of) => lanesTold.parse(await ask(of)),
  };
}

export function quotaCalls({ ring, quota, clock }: Pick<AdminFacts, "ring" | "quota" | "clock">): readonly PlainCall[] {
  return [
    {
      method: "GET",
      path: "/quota",
      summary: "What every lane has left of its budget, and how long it lasts",
      changes: false,
      parameters: [node],
      answer: quotaAnswer,
      async run({ parameter }): Promise<z.output<typeof quotaAnswer>> {
        const { rows, missing } = await togetherOf(ring, quota, isSelfOnly(parameter("node")));
        return { lanes: rows, missing, at: new Date(clock.now()).toISOString() };
      },
    },
  ];
}

function rowOf({ lane: facts, budget, forecast }: LaneState): LaneRow {
  const { name, upstream, account, egress, source, unmetered, benched } = facts;
  return {
    upstream,
    account: account ?? null,
    egress,
    source: source ?? null,
    limit: budget?.limit ?? null,
    remaining: budget?.remaining ?? null,
    windowSec: budget?.windowSec ?? null,
    observedAt: timeOf(budget?.observedAt),
    coolDownUntil: timeOf(budget?.coolDownUntil),
    spent: budget?.spent ?? null,
    lane: name,
    budget: facts.budget ?? null,
    benched: benched ?? null,
    unmetered,
    inFlight: budget?.inFlight ?? 0,
    resetAt: timeOf(budget?.resetAt),
    forecast: forecast ? { perHour: Math.round(forecast.perHour * 10) / 10, emptyAt: timeOf(forecast.emptyAt) } : null,
  };
}

const timeOf = (ms: number | undefined): string | null => (ms === undefined ? null : new Date(ms).toISOString());
