import type { NodeId, PurgeOrder } from "@pullring/core";
import type { Ring } from "@pullring/hash-ring";
import type { Digest } from "@pullring/oci";

import type { Outlet } from "./call.ts";
import type { BlobFacts, ImageFacts, ImagesQuery, TierFacts } from "./held-answers.ts";
import type { WarmOrder } from "./warm.ts";
import type { WarmStep } from "./warm-answers.ts";

/** Who owns what, as this node sees its cluster now. Answers are at hand. */
export interface RingView {
  readonly self: NodeId;
  /** Never empty: this node is in it, unless it drains and others are there. */
  ring(): Ring;
  /** All that are known, those that are not in the ring too; this node is one of them. */
  nodes(): readonly RingNode[];
}

export interface RingNode {
  readonly id: NodeId;
  readonly ringName: string;
  /** Where its peer listener is; empty for a node that is alone. */
  readonly url: string;
  readonly weight: number;
  readonly state: "joining" | "active" | "leaving";
  /** How long ago it was heard of; 0 for this node itself. */
  readonly lastSeenMs: number;
  /** Left out by this node for a while, because it refused or was silent. */
  readonly benched: boolean;
}

export interface FillsView {
  /** Those that this node runs. */
  here(): readonly FillFacts[];
  /** Those of another member. Rejects when it can't be asked. */
  at(node: NodeId): Promise<readonly FillFacts[]>;
}

export interface FillFacts {
  readonly digest: string;
  /** `upstream/repository` that it is fetched under. */
  readonly repository: string;
  readonly bytes: number;
  /** Of the whole blob; null = not known yet. */
  readonly total: number | null;
  /** Where the bytes come from now: `upstream:<name>`, `s3`, `peer:<node>`, or `none` while it waits. */
  readonly source: string;
  /** Null = not known yet. */
  readonly lane: string | null;
  readonly readers: number;
  /** Bytes per second. */
  readonly rate: number;
}

/** Removes bytes and records here, on every other node and in shared storage. */
export interface Purger {
  /** Rejects only when this node itself failed. */
  purge(order: PurgeOrder): Promise<Purged>;
}

export interface Purged {
  readonly reached: readonly NodeId[];
  /** Members that did not answer. */
  readonly missing: readonly NodeId[];
  readonly shared: "purged" | "failed" | "none";
}

/**
 * Both are idempotent, hold for this node in any case, and resolve to whether the others can know. They reject with an AdminProblem
 * where they make no sense.
 */
export interface Drainer {
  /** Out of the ring; this node goes on serving. */
  drain(): Promise<boolean>;
  undrain(): Promise<boolean>;
}

/** What this node tells by itself, and what another member does; the latter rejects when it can't be asked. */
export interface Rows<T> {
  here(): readonly T[] | Promise<readonly T[]>;
  at(node: NodeId): Promise<readonly T[]>;
}

/** What is cached, on this node and on the others. */
export interface HeldView {
  readonly tiers: Rows<TierFacts>;
  /** The first `limit` images after `after`, in the order of their names' codes. */
  images(query: ImagesQuery): Rows<ImageFacts>;
  blob(digest: Digest): Rows<BlobFacts>;
  shared(digest: Digest): Promise<SharedFacts>;
}

/** The same of this node alone. Looking is no use: nothing stays longer for it. */
export interface HeldHere {
  tiers(): readonly TierFacts[];
  images(query: ImagesQuery): Promise<readonly ImageFacts[]>;
  blob(digest: Digest): Promise<BlobFacts>;
  shared(digest: Digest): Promise<SharedFacts>;
}

/** Whether a digest is in S3. */
export interface SharedFacts {
  readonly state: "held" | "absent" | "unknown" | "none";
  readonly size: number | null;
}

/** Fetches what is missing of images. */
export interface Warmer {
  /** Rejects when the signal ends it, or as `tell` does. */
  warm(order: WarmOrder): Promise<WarmStep>;
}

/** What happens, as it happens. */
export interface EventsView {
  /** Tells until the outlet ends; `selfOnly`: what happens on this node. Throws AdminProblem when too many listen. */
  open(selfOnly: boolean): (out: Outlet) => Promise<void>;
  /** Looks at nothing any more, and tells the last of it; outlets are ended by who opened them. */
  close(): Promise<void>;
}
