import type { Clock, Owners } from "@pullring/core";
import type { Ring } from "@pullring/hash-ring";

import type { BeatStore } from "./beat-store.ts";
import type { LastRingStore } from "./last-ring.ts";
import type { Member } from "./member.ts";
import type { PeerReport } from "./peer-health.ts";
import type { NodeRow } from "./roster.ts";
import type { MembershipLog } from "./warn-once.ts";

export interface MembershipOptions {
  readonly self: Member & {
    /** Another one for each start. */
    readonly incarnation: string;
    /** Of the product. */
    readonly version: string;
  };
  /** Redis (`redisBeats`), or a list that all nodes have and this node is in. */
  readonly source: { readonly beats: BeatStore } | { readonly members: readonly Member[] };
  readonly algorithm?: "ketama" | "rendezvous";
  readonly clock: Clock;
  /** [0, 1) */
  readonly random: () => number;
  readonly log: MembershipLog;
  /** Where the ring is kept for a start without Redis. */
  readonly lastRing?: LastRingStore;
  /** Whether the process of this incarnation answers at the URL. A rejection counts as no. */
  readonly answers: (url: string, incarnation: string) => Promise<boolean>;
  /** Asks a member that was benched whether it lives. Rejects when it does not say so. */
  readonly greet: (url: string, node: string) => Promise<unknown>;
  /** Redis must not be able to name addresses at will: members elsewhere are ignored. */
  readonly mayDial: (url: string) => boolean;
}

/** Who is in the cluster and owns what, as this node sees it. */
export interface Membership extends Owners, MemberHealth {
  /** Never empty: this node is in it, unless it drains and others are there. */
  ring(): Ring;
  /** All that are known, by id; this node is one of them. */
  nodes(): readonly NodeRow[];
  /** Origin of its peer listener; undefined = no member. */
  urlOf(node: string): string | undefined;
  /** Calls when a member, its state or its place in the ring has changed. Returns how to end it. */
  onChange(listener: () => void): () => void;
  status(): MembershipStatus;
  /** After the self-test: this node may own keys. As the next two, resolves to whether the others can know; they do within a beat. */
  activate(): Promise<boolean>;
  /** Out of the ring; this node goes on serving, and the others may ask it for what it holds. */
  drain(): Promise<boolean>;
  undrain(): Promise<boolean>;
  /** The last word of a node that ends. Never rejects. */
  leave(): Promise<void>;
  /** Ends without a word, as a crash does. */
  close(): Promise<void>;
}

/** What peers are found to be like. */
export interface MemberHealth {
  report(node: string, report: PeerReport): void;
  sawEpoch(epoch: string): void;
  /** Distinct rings told of within a minute, this node's own among them. */
  epochsSeen(): number;
}

export interface MembershipStatus {
  readonly source: "redis" | "static";
  /** For how long the ring has stood still because Redis can't be asked; absent while it can. */
  readonly frozenForMs?: number;
  readonly frozenBy?: string;
  /** Another process has this node's id. */
  readonly isSuperseded: boolean;
  /** How long ago Redis was found empty or exchanged; absent after a minute. */
  readonly wipedAgoMs?: number;
  /** Rows of Redis that were ignored, in all. */
  readonly ignoredRows: number;
  /** What is wrong, in words. */
  readonly reasons: readonly string[];
}
