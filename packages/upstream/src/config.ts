import type { Clock } from "@pullring/core";

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
}

export interface AccountConfig {
  readonly name: string;
  /** Canonical name of its upstream. */
  readonly upstream: string;
  readonly username: string;
  readonly password: { read(): string | Promise<string> };
  /** Globs over repository names: only this account pulls them, and it pulls nothing else. */
  readonly repositories?: readonly string[];
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
  readonly observe: (event: UpstreamEvent) => void;
  /** Told of every exchange on the wire, for who keeps books of them. */
  readonly onWire?: OnWire | undefined;
  readonly log: Log;
}
