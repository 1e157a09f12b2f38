import type { Clock, UpstreamNames } from "@pullring/core";
import type * as z from "zod";

import type { Config } from "../config/index.ts";
import type { QuotaView } from "./quota-calls.ts";
import type { Drainer, FillsView, Purger, RingView } from "./ports.ts";

/** What the calls know of the node. */
export interface AdminFacts {
  readonly config: Config;
  readonly names: UpstreamNames;
  readonly ring: RingView;
  readonly fills: FillsView;
  readonly quota: QuotaView;
  readonly purger: Purger;
  readonly drainer: Drainer;
  readonly clock: Pick<Clock, "now">;
}

/** One call of the admin API. Routes, checks and the OpenAPI document all come from here. */
export interface AdminCall {
  readonly method: "GET" | "POST" | "DELETE";
  /** Below `/admin/v1`. `{name}` stands for one part; at the end, `{name*}` stands for all that follows. */
  readonly path: string;
  readonly summary: string;
  /** Needs a token from wherever it comes, and is logged. */
  readonly changes: boolean;
  readonly parameters?: readonly Parameter[];
  readonly body?: z.ZodType;
  readonly answer: z.ZodType;
  /** Throws AdminProblem. */
  readonly run: (ask: Ask) => unknown;
}

export interface Parameter {
  readonly name: string;
  readonly in: "query" | "path";
  readonly required: boolean;
  readonly description: string;
}

export interface Ask {
  /** A parameter by its name, from path or query; empty when it is not there. */
  readonly parameter: (name: string) => string;
  /** As `body` of the call has it. */
  readonly body: unknown;
}
