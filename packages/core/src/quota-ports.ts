import type { NodeId } from "./cluster-ports.ts";
import type { ManifestAnswer, Repository } from "./ports.ts";
import type { Reference } from "@pullring/oci";

/**
 * Whose allowance at an upstream is spent, as free text without a secret: `docker.io source:203.0.113.10` once upstream has named who it
 * charges (`docker-ratelimit-source`, IPv6 as its /64), until then `docker.io account:ci` or `docker.io egress:a@n1`.
 */
export type BudgetKey = string;

/** What the rate headers of an answer say of the budget that it was asked on: counted requests. */
export interface Told {
  readonly limit: number;
  readonly remaining: number;
  readonly windowSec: number;
}

/** One budget that would do for a counted request. */
export interface BudgetWish {
  readonly key: BudgetKey;
  /** Holds until upstream has told another. undefined = unmetered: spent is counted, nothing is refused. */
  readonly limit: number | undefined;
  readonly windowSec: number;
  /** How many of it this request must leave to others. */
  readonly reserve: number;
}

export type Taking =
  | { readonly state: "taken"; readonly take: Take }
  /** None has anything left; the first of them may have again in so many seconds. */
  | { readonly state: "empty"; readonly retryAfterSec: number };

/** One counted request that a budget allows. In flight until it is settled, or 60 s have passed. */
export interface Take {
  readonly key: BudgetKey;
  /**
   * Once. `Told`: by the answer's own headers. `spent`: answered without headers, or it may have been counted. `unspent`: it never reached
   * upstream. `exhausted`: upstream answered that nothing is left, for so many seconds if it said how long. Never throws.
   */
  settle(outcome: Told | "spent" | "unspent" | { readonly exhaustedForSec: number | undefined }): void;
}

/** What is known of a budget now. Times are ms since the epoch. */
export interface BudgetState {
  readonly key: BudgetKey;
  /** undefined = unmetered. */
  readonly limit: number | undefined;
  /** What upstream would say was left, less what is in flight; undefined = unmetered. */
  readonly remaining: number | undefined;
  readonly inFlight: number;
  readonly windowSec: number;
  /** By all nodes, in this window. */
  readonly spent: number;
  /** When upstream last told; undefined = assumed. */
  readonly observedAt: number | undefined;
  /** When the window is over, as far as it is known. */
  readonly resetAt: number | undefined;
  readonly coolDownUntil: number | undefined;
}

/** The budgets of all upstreams, shared by the cluster's nodes. */
export interface Budgets {
  /**
   * Takes one of the budget with the largest share left ((remaining - in flight) / limit); ties go to the one taken least recently. A
   * budget in cool-down has nothing left. Never rejects; without the shared counters it spends this node's part of what was last known.
   */
  take(wishes: readonly BudgetWish[]): Promise<Taking>;
  /** What an answer that was not counted (a HEAD) told; `askedAt` (monotonic ms) orders it among the others. */
  tell(key: BudgetKey, told: Told, askedAt: number): void;
  /** Every budget that was ever taken from or told of and has not been forgotten, of the whole cluster. Never rejects. */
  all(): Promise<readonly BudgetState[]>;
}

/**
 * What tags with priority were lately seen to point at, the children of such an index included: whoever fetches one, on any node, may spend
 * what is kept back. A key is `docker.io library/app@sha256:…`.
 */
export interface PriorDigests {
  /** Resolves when the other nodes can know it. Never rejects. */
  note(key: string): Promise<void>;
  /** Never rejects: what can't be found out is not prior. */
  has(key: string): Promise<boolean>;
}

/** A lane of this node or another one, as its node tells. */
export interface LaneFacts {
  /** `<account or anonymous>@<egress>@<node>` */
  readonly name: string;
  readonly upstream: string;
  /** undefined = anonymous. */
  readonly account: string | undefined;
  readonly egress: string;
  readonly node: NodeId;
  /** undefined: the upstream has no quota. */
  readonly budget: BudgetKey | undefined;
  /** What upstream named as the payer. */
  readonly source: string | undefined;
  /** Its answers carry no rate headers, as a paid account's. */
  readonly unmetered: boolean;
  /** Why it is not used now: `login`, `egress`, `paused`. */
  readonly benched: string | undefined;
}

/** A time inside which nothing goes out by a source (the abuse limit of an upstream), or by an account (a refused login). */
export interface Pause {
  /** `docker.io source:…` or, while the source is unknown, `docker.io egress:…`; `docker.io login:ci`. */
  readonly key: string;
  readonly forSec: number;
}

/** What nodes tell each other of their lanes. No I/O: answers are at hand, at most some seconds old. */
export interface LaneBoard {
  /** This node's lanes as they are now; told to the others soon and again while it lives. */
  publish(lanes: readonly LaneFacts[]): void;
  /** Those of other live nodes. */
  others(): readonly LaneFacts[];
  /** Tells every node at once. */
  pause(pause: Pause): void;
  /** Hears of every pause, this node's own included. Returns how to stop. */
  onPause(hear: (pause: Pause) => void): () => void;
}

/** Verb `fetch`: a counted manifest GET by a lane that only the node asked has; it asks nobody else. Rejects as ManifestSource does. */
export interface LaneFetch {
  fetch(node: NodeId, order: LaneOrder): Promise<LaneAnswer>;
}

/** A throttled one rejects instead; `retryAfterSec` of the error is what exhausts its budget. */
export interface LaneAnswer {
  readonly answer: ManifestAnswer;
  /** What the taker settles its budget with. */
  readonly outcome: Told | "spent";
}

export interface LaneOrder {
  /** Name of the lane, which is the asked node's. Its budget has been taken from by who asks. */
  readonly lane: string;
  readonly repository: Repository;
  readonly reference: Reference;
}
