import type { NodeId } from "@pullring/core";

import type { Random } from "../real/random.ts";
import type { Plan } from "./plan.ts";
import type { SimClock } from "./sim-clock.ts";

/** What everything in one run shares. */
export interface World {
  readonly plan: Plan;
  readonly clock: SimClock;
  readonly random: Random;
  /** Adds a line to the run's trace, with its time. */
  readonly note: (line: string) => void;
  /** A rare state was reached. */
  readonly reached: (state: RareState) => void;
  /** A promise was broken. */
  readonly broken: (what: string) => void;
  /** One hop. */
  readonly hop: () => Promise<void>;
  /** Nodes in the way of each other: `n1>n2` can't connect. */
  readonly severed: Set<string>;
  /** Nodes that flip a byte of what they send. */
  readonly liars: Set<NodeId>;
}

/** States that are easily missed: over a whole run of seeds each must have been reached. */
export const rareStates = [
  "takeover",
  "resumed upstream from a partial spool",
  "forward claimed as owner",
  "read from the holder of a lease",
  "copied from another holder",
  "served from shared storage",
  "rings disagreed",
  "upstream cut a body",
  "wrong bytes refused",
  "redis lost a reply",
  "client left early",
  "purged while it was fetched",
  "no rights",
  "stale tag",
] as const;

export type RareState = (typeof rareStates)[number];
