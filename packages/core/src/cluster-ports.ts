import type { Digest, Tag } from "@pullring/oci";

import type { Stale } from "./freshness.ts";
import type { Access, BlobRequest, BlobSink, Body, ManifestAnswer, Repository } from "./ports.ts";
import type { LaneAnswer, LaneOrder } from "./quota-ports.ts";
import type { TagRecord } from "./tags.ts";

/** A node's id: unique in its cluster, and the same after a restart. */
export type NodeId = string;

/** Who is responsible for which key, as this node sees its cluster now. No I/O: answers are at hand. */
export interface Owners {
  readonly self: NodeId;
  /**
   * Distinct nodes in the ring's order, the owner first. Peers that are benched are left out; this node never is, so the list
   * is never empty and whoever walks it ends here at the latest.
   */
  of(key: string): readonly NodeId[];
  /** Every other live or leaving member, nearest to the key first: whom to ask who holds a digest. */
  others(key: string): readonly NodeId[];
}

/** What a node holds of a digest. */
export interface Holding {
  /**
   * `whole`: verified, at rest. `growing`: a fill that upstream or S3 feeds; a `read` follows it to its end. `partial`: bytes [0, bytes)
   * of a spool that a peer feeds or nobody does; a `read` brings those and is cut.
   */
  readonly state: "whole" | "growing" | "partial";
  readonly bytes: number;
  /** Of the whole blob, where it is known. */
  readonly size?: number;
  readonly access: Access;
}

export interface Holder extends Holding {
  readonly node: NodeId;
}

/**
 * Blobs of peers. Rejects with a PullringError: what the peer answered (missing, throttled, unavailable, busy, …), `unreachable` when it
 * refused the connection, was silent or spoke nonsense before its answer, `cut` for a body that broke. A sink is told of by `head` once,
 * as BlobSource tells.
 */
export interface PeerBlobs {
  /** Verb `get`: the peer acts as the owner. */
  get(node: NodeId, request: BlobRequest, sink: BlobSink): Promise<void>;
  /** Leaf `read`: what the peer has itself. `missing` when it has nothing at `offset`. */
  read(node: NodeId, request: BlobRequest, sink: BlobSink): Promise<void>;
  /** One `read` HEAD to each node at once; those that do not answer within 500 ms, or have nothing, are not in the answer. */
  holders(nodes: readonly NodeId[], repository: Repository, digest: Digest): Promise<readonly Holder[]>;
}

/** Small answers of peers. Rejects as PeerBlobs does. */
export interface PeerManifests {
  /** Verb `get`. Bytes are not yet verified. */
  get(node: NodeId, repository: Repository, digest: Digest): Promise<ManifestAnswer>;
  /** Leaf `read`. */
  read(node: NodeId, repository: Repository, digest: Digest): Promise<ManifestAnswer>;
  /**
   * What a tag points at: by `get`, the default, as the tag's owner tells, which asked upstream if need be; by `read` as the peer has it
   * written down.
   */
  resolve(node: NodeId, repository: Repository, tag: Tag, verb?: PeerVerb): Promise<ResolvedTag>;
}

/** What a tag's owner tells of it. */
export interface ResolvedTag {
  readonly record: TagRecord;
  readonly stale?: Stale;
}

/** The right to fetch a digest for the whole cluster: saves requests, not correctness. */
export interface Leases {
  /**
   * Takes the lease of the digest, or tells who has it. `breaking` is the token of a holder that is known to be gone or stuck: it is
   * superseded if it still holds. Never rejects; without an answer in time the state is `unavailable`. A second call that follows a lost
   * reply finds its own lease and is `acquired` too.
   */
  acquire(digest: Digest, breaking?: string): Promise<LeaseAnswer>;
  /** Resolves when the lease of the digest may have changed hands, or after `withinMs`: a hint to look again. Never rejects. */
  changed(digest: Digest, withinMs: number, signal?: AbortSignal): Promise<void>;
}

export type LeaseAnswer =
  | { readonly state: "acquired"; readonly lease: Lease; readonly attempt: number }
  | { readonly state: "held"; readonly holder: NodeId; readonly token: string; readonly bytes: number }
  | { readonly state: "unavailable" };

/** Renewed by itself until released. A lost lease ends nothing: its fill goes on, and is no longer advertised. */
export interface Lease {
  /** How far the fill has come, in bytes: told with the next renewal, so that waiters see that it moves. */
  progress(bytes: number): void;
  /** Idempotent; never rejects. */
  release(): Promise<void>;
  /** Whether the lease is known to be lost or may have run out. */
  readonly lost: boolean;
}

/** Verified blobs in shared storage (S3). A failing one is `missing` or `unavailable`, never an error of a pull. */
export interface SharedBlobs {
  /** Bytes from `offset`, to be verified like any other's. Rejects with `missing`, `unavailable` or `cut`. */
  get(request: BlobRequest, sink: BlobSink): Promise<void>;
  /** Size and access, or undefined when it is not there or can't be asked. */
  stat(digest: Digest): Promise<{ readonly size: number; readonly access: Access } | undefined>;
  /** Queues a verified blob that is at rest here; the queue is bounded and drops what does not fit, counted. */
  upload(digest: Digest): void;
  /** Bytes that did not hash to their digest: not asked again for a while, and replaced by the next upload. */
  quarantine(digest: Digest): void;
  remove(digest: Digest): Promise<void>;
}

/** What a node needs of its cluster to cooperate. */
export interface Cluster {
  readonly owners: Owners;
  readonly blobs: PeerBlobs;
  readonly manifests: PeerManifests;
  readonly leases: Leases;
}

/**
 * What a node does for its peers: the receiving end of the wire. Rights are checked as a client's are, under the repository named.
 * Rejects with a PullringError.
 */
export interface PeerService {
  /** `get`: this node acts as the owner and asks leaves only. `read`: what is here; its body is cut where it would have to wait for a peer. */
  openBlob(order: PeerBlobOrder): Promise<PeerBlob>;
  /** What `read` would find; undefined = nothing. Costs no I/O beyond a look. */
  holding(repository: Repository, digest: Digest): Promise<Holding | undefined>;
  manifest(verb: PeerVerb, repository: Repository, digest: Digest): Promise<PeerManifest>;
  /** `read` asks nobody: `missing` when nothing is written down here. */
  resolve(repository: Repository, tag: Tag, verb?: PeerVerb): Promise<ResolvedTag>;
  /** A counted manifest GET by one of this node's own lanes. Nothing is kept here, and no peer is asked. */
  fetch(order: LaneOrder): Promise<LaneAnswer>;
  purge(order: PurgeOrder): Promise<void>;
}

export type PeerVerb = "get" | "read";

export interface PeerBlobOrder {
  readonly verb: PeerVerb;
  readonly repository: Repository;
  readonly digest: Digest;
  /** The node that asks. */
  readonly from: NodeId;
  readonly offset: number;
}

export interface PeerBlob {
  /** The caller closes it. */
  readonly body: Body;
  readonly access: Access;
  /** It is at rest here, verified. */
  readonly whole?: boolean;
}

export interface PeerManifest {
  readonly bytes: Buffer;
  readonly mediaType: string;
  readonly access: Access;
}

/** What is to go: a blob or manifest by digest, or a tag (a repository without one means all its tags). */
export interface PurgeOrder {
  readonly repository?: Repository;
  readonly tag?: Tag;
  readonly digest?: Digest;
  /** When it was ordered, ms since the epoch: what is fetched later stays. */
  readonly atMs: number;
}
