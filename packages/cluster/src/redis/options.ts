import type { Clock } from "@pullring/core";

/** The part of a pino logger that is used here. */
export interface Log {
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
}

/** Read anew for each connection, so that what was renewed on disk is used without a restart. */
export type TextSource = () => string | undefined;

/** PEM. Without `ca` the system's authorities are trusted; `cert` and `key` go together. */
export interface RedisTls {
  readonly ca?: TextSource;
  readonly cert?: TextSource;
  readonly key?: TextSource;
}

export interface RedisSentinels {
  readonly addresses: readonly { readonly host: string; readonly port: number }[];
  /** The name by which they know the primary. */
  readonly master: string;
  readonly username?: string;
  readonly password?: TextSource;
  /** Default: that of the servers. */
  readonly tls?: RedisTls;
}

/** Exactly one of `url` and `sentinels` is there. */
export interface RedisOptions {
  /** `redis://` or `rediss://` with host, perhaps port and database; of any node where `cluster` is true. */
  readonly url?: string;
  readonly sentinels?: RedisSentinels;
  /** Redis Cluster. */
  readonly cluster?: boolean;
  /** Before each key and channel, and a colon. */
  readonly prefix: string;
  readonly username?: string;
  readonly password?: TextSource;
  /** `rediss://` means TLS without it too. */
  readonly tls?: RedisTls;
  readonly log: Log;
  readonly clock: Clock;
  readonly random: () => number;
}
