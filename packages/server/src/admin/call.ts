import type { Clock, UpstreamNames } from "@pullring/core";
import type * as z from "zod";

import type { Config } from "../config/index.ts";
import type { QuotaView } from "./quota-calls.ts";
import type { Drainer, EventsView, FillsView, HeldView, Purger, RingView, Warmer } from "./ports.ts";

/** What the calls know of the node. */
export interface AdminFacts {
  readonly config: Config;
  readonly names: UpstreamNames;
  readonly ring: RingView;
  readonly fills: FillsView;
  readonly held: HeldView;
  readonly quota: QuotaView;
  readonly purger: Purger;
  readonly warmer: Warmer;
  readonly events: EventsView;
  readonly drainer: Drainer;
  readonly clock: Pick<Clock, "now">;
}

/** One call of the admin API. Routes, checks and the OpenAPI document all come from here. */
export type AdminCall = PlainCall | StreamCall;

interface CallWords {
  readonly method: "GET" | "POST" | "DELETE";
  /** Below `/admin/v1`. `{name}` stands for one part; at the end, `{name*}` stands for all that follows. */
  readonly path: string;
  readonly summary: string;
  /** Needs a token from wherever it comes, and is logged. */
  readonly changes: boolean;
  readonly parameters?: readonly Parameter[];
  readonly body?: z.ZodType;
  /** Of the answer, or of each line of it. */
  readonly answer: z.ZodType;
}

/** It answers with one document. */
export interface PlainCall extends CallWords {
  readonly type?: undefined;
  /** Throws AdminProblem. */
  readonly run: (ask: Ask) => unknown;
}

/** It answers line by line, until it or whoever asked ends it. */
export interface StreamCall extends CallWords {
  readonly type: "application/x-ndjson" | "text/event-stream";
  /** Throws AdminProblem before the answer begins. What it returns writes the answer; if that rejects, the answer is cut. */
  readonly open: (ask: Ask) => (out: Outlet) => Promise<void>;
}

export interface Parameter {
  readonly name: string;
  readonly in: "query" | "path";
  readonly required: boolean;
  readonly description: string;
  /** Absent = any text. */
  readonly schema?: z.ZodType;
}

export interface Ask {
  /** A parameter by its name, from path or query; empty when it is not there. */
  readonly parameter: (name: string) => string;
  /** As `body` of the call has it. */
  readonly body: unknown;
  /** Adds to the line that the log has of a change. */
  readonly note: (facts: Readonly<Record<string, unknown>>) => void;
}

/** Where the lines of one answer go. */
export interface Outlet {
  /** Aborts when whoever asked has left, was cut, or this node stops. */
  readonly signal: AbortSignal;
  /** Bytes that were written and have not left yet. */
  readonly pendingBytes: number;
  /** Resolves when there is room for more; a promise that nobody awaits costs nothing. */
  write(text: string): Promise<void>;
  /** Ends the answer before its end. */
  cut(): void;
}
