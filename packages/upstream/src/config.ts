import type { Budgets, Clock, LaneBoard, LaneFetch, PriorDigests } from "@pullring/core";

import type { Egress } from "./egress.ts";

import type { OnWire } from "./wire-tap.ts";

/** One registry, as the operator configured it. */
export interface UpstreamConfig {
  /** Canonical name: `docker.io`. */
  readonly name: string;
  readonly url: URL;
  /** Origins that may be asked for tokens, beside that of `url`: `https://auth.docker.io`. */
  readonly tokenOrigins: readonly string[];
  /** Whether redirects may lead to private addresses. `url` and `tokenOrigins` always may: they are the operator's word. */
  readonly allowPrivateAddresses: boolean;
  /** PEM of the authorities to trust instead of the system's; read at each connection, so that a changed file counts. */
  readonly ca?: () => string | undefined;
  /** Per origin. */
  readonly connectionsMax: number;
  /** For all bodies together; 0 = no limit. */
  readonly bandwidthBytesPerSec: number;
  /** Nothing is dialled. */
  readonly offline: boolean;
  /** Absent: it counts nothing, and has no budgets. */
  readonly quota?: QuotaConfig;
}

/** What is assumed of an upstream that counts requests, until it has spoken. */
export interface QuotaConfig {
  /** Whether nobody's login is a lane too. */
  readonly anonymous: boolean;
  /** Counted requests in a window, for a payer without an account. */
  readonly limit: number;
  readonly windowSec: number;
  /** How many of each budget are left to what has priority. */
  readonly reserve: number;
  /** Globs over `repository:tag`. */
  readonly priority: readonly string[];
}

export interface AccountConfig {
  readonly name: string;
  /** Canonical name of its upstream. */
  readonly upstream: string;
  readonly username: string;
  readonly password: { read(): string | Promise<string> };
  /** Globs over repository names: only this account pulls them, and it pulls nothing else. */
  readonly repositories?: readonly string[];
  /** Of its budget, until upstream has spoken; the upstream's own otherwise. */
  readonly limit?: number;
  readonly windowSec?: number;
}

export type RequestKind =
  | "token"
  | "manifest_head"
  | "manifest_get"
  | "blob_head"
  | "blob_get"
  | "blob_range"
  | "tags"
  | "referrers"
  | "ping";

/** One request that went upstream; its redirects belong to it. */
export interface UpstreamEvent {
  readonly upstream: string;
  readonly kind: RequestKind;
  readonly lane: string;
  readonly status: number | "error";
}

type LogLine = (facts: Record<string, unknown>, message: string) => void;

export interface Log {
  readonly info: LogLine;
  readonly warn: LogLine;
  readonly error: LogLine;
  readonly debug: LogLine;
}

export interface UpstreamsOptions {
  readonly upstreams: readonly UpstreamConfig[];
  readonly accounts: readonly AccountConfig[];
  readonly clock: Clock;
  /** [0, 1), for jitter. */
  readonly random: () => number;
  /** Id of this node, for lane names. */
  readonly node: string;
  /** What this node can go out by; at least one. */
  readonly egress: readonly Egress[];
  readonly budgets: Budgets;
  readonly priors: PriorDigests;
  /** What nodes tell each other of their lanes; absent = there are no others. */
  readonly board?: LaneBoard | undefined;
  readonly laneFetch?: LaneFetch | undefined;
  readonly observe: (event: UpstreamEvent) => void;
  /** Told of every exchange on the wire, for who keeps books of them. */
  readonly onWire?: OnWire | undefined;
  readonly log: Log;
}
