import type { SecretSource } from "./secret-source.ts";

/** The effective configuration of one node: validated, complete and deep-frozen. Files are named here, not read. */
export interface Config {
  readonly listen: ListenAddress;
  /** Absent = plain HTTP. */
  readonly tls?: TlsFiles;
  readonly admin: Admin;
  readonly node: NodeSelf;
  /** Canonical name of the upstream that a bare repository name means; always in `upstreams`. */
  readonly default: string;
  /** The closed table: what is built in and what was configured, by canonical name. */
  readonly upstreams: Readonly<Record<string, Upstream>>;
  readonly accounts: readonly Account[];
  /** Of all nodes; at least one. */
  readonly egress: readonly Egress[];
  readonly tags: TagFreshness;
  readonly fallback: "direct" | "hold";
  readonly clients: Clients;
  readonly storage: Storage;
  /** Absent = this node is alone. */
  readonly cluster?: Cluster;
  /** Absent = nothing is written down. */
  readonly ledger?: { readonly path: string };
  /** Absent = nothing is traced. */
  readonly tracing?: Tracing;
  readonly log: { readonly level: LogLevel };
}

export interface Tracing {
  /** Where spans are posted to. */
  readonly endpoint: string;
  /** Lines of `Name: value`. */
  readonly headers?: SecretSource;
  /** From 0 to 1. */
  readonly sample: number;
  readonly serviceName: string;
}

/** Port 0 = whichever is free. An IPv6 host is without its brackets. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

export interface Admin {
  readonly listen: ListenAddress;
  /** Absent = nothing can be changed, and nobody on another host is told anything. */
  readonly token?: SecretSource;
  /** Names without ports, beside its address and localhost. */
  readonly hosts: readonly string[];
}

export interface NodeSelf {
  readonly id: string;
  /** What the ring hashes. */
  readonly ringName: string;
  readonly weight: number;
}

export interface TlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
  /** Clients must present a certificate of these authorities. */
  readonly clientCaFile?: string;
}

export interface Upstream {
  readonly name: string;
  readonly url: URL;
  readonly aliases: readonly string[];
  /** At least one: that of `url` unless told otherwise. */
  readonly tokenOrigins: readonly string[];
  readonly allowPrivateAddresses: boolean;
  readonly caFile?: string;
  readonly connectionsMax: number;
  /** 0 = no cap. */
  readonly bandwidthBytesPerSec: number;
  readonly offline: boolean;
  /** Absent = it counts nothing. */
  readonly quota?: Quota;
}

export interface Quota {
  readonly anonymous: boolean;
  readonly limit: number;
  readonly windowSec: number;
  readonly reserve: number;
  /** Globs over `repository:tag`. */
  readonly priority: readonly string[];
}

export interface Egress {
  readonly name: string;
  readonly localAddress?: string;
  /** May hold a login. */
  readonly proxy?: URL;
  /** Ids of the nodes that have it; absent = all. */
  readonly nodes?: readonly string[];
}

export interface Account {
  readonly name: string;
  /** Canonical name. */
  readonly upstream: string;
  readonly username: string;
  readonly password: SecretSource;
  /** Globs over repository names; absent = any repository of the upstream that no other account has for itself. */
  readonly repositories?: readonly string[];
  readonly limit?: number;
  readonly windowSec?: number;
}

export interface TagFreshness {
  readonly freshMs: number;
  readonly staleIfErrorMs: number;
  readonly refreshHot: boolean;
  /** Globs over `upstream/repository:tag`, canonical; the first that matches counts. */
  readonly rules: readonly { readonly match: string; readonly freshMs: number }[];
}

export interface Clients {
  /** Everybody is 0.0.0.0/0 and ::/0. */
  readonly allow: readonly Network[];
  readonly trustedProxies: readonly Network[];
  /** Absent = nobody is asked to log in. */
  readonly auth?: { readonly htpasswdFile: string };
  readonly rules: readonly ClientRule[];
}

/**
 * The first rule whose `match` (a glob over `upstream/repository`, canonical) fits decides: nobody with `deny`, else whoever is one of
 * `users` and in one of `networks`, as far as they are given. A repository that no rule matches is open to every admitted client.
 */
export interface ClientRule {
  readonly match: string;
  readonly users?: readonly string[];
  readonly networks?: readonly Network[];
  readonly deny: boolean;
}

/** The arguments of node:net's `BlockList.addSubnet`. */
export interface Network {
  readonly address: string;
  readonly prefixBits: number;
  readonly family: "ipv4" | "ipv6";
}

interface Storage {
  readonly memoryBytesMax: number;
  readonly disk: { readonly path: string; readonly sizeBytesMax: number };
  /** Globs over `upstream/repository:tag`, canonical. */
  readonly pin: readonly string[];
  readonly s3?: S3;
}

export interface S3 {
  readonly bucket: string;
  /** Without a slash at its end; may be empty. */
  readonly prefix: string;
  readonly region?: string;
  /** An origin; absent = AWS. */
  readonly endpoint?: string;
  readonly forcePathStyle: boolean;
  /** Absent = the SDK's default chain. */
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: SecretSource };
  /** 0 = never. */
  readonly expireMs: number;
}

/** Exactly one of `redis` and `members` is there. */
export interface Cluster {
  readonly redis?: Redis;
  /** This node is one of them. */
  readonly members?: readonly Member[];
  readonly peer: Peer;
}

/** Exactly one of `url` and `sentinels` is there. */
export interface Redis {
  /** `redis://` or `rediss://` with host, perhaps port and database; of any node where `cluster` is true. */
  readonly url?: string;
  readonly sentinels?: Sentinels;
  readonly cluster: boolean;
  readonly prefix: string;
  readonly username?: string;
  readonly password?: SecretSource;
  /** With sentinels, its presence means TLS. */
  readonly tls?: { readonly caFile?: string; readonly certFile?: string; readonly keyFile?: string };
}

export interface Sentinels {
  readonly addresses: readonly ListenAddress[];
  readonly master: string;
  readonly username?: string;
  readonly password?: SecretSource;
}

export interface Member extends NodeSelf {
  /** An origin. */
  readonly url: string;
}

/** Off loopback at least one of `secret` and `tls` is there. */
export interface Peer {
  readonly listen: ListenAddress;
  /** An origin: what others dial; https where there is `tls`. */
  readonly url: string;
  /** Absent = peers may be anywhere. */
  readonly allow?: readonly Network[];
  readonly secret?: SecretSource;
  readonly tls?: { readonly caFile: string; readonly certFile: string; readonly keyFile: string };
}

export type LogLevel = "fatal" | "error" | "warn" | "info" | "debug" | "trace" | "silent";
