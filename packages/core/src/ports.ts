import type { Digest, Reference } from "@pullring/oci";

import type { PullringError } from "./errors.ts";

/** A repository of an upstream: the upstream's canonical host and the repository's name there (`library/` added). */
export interface Repository {
  readonly upstream: string;
  readonly name: string;
}

export const repositoryKey = ({ upstream, name }: Repository): string => `${upstream}/${name}`;

export interface Clock {
  /** Wall time in ms since the epoch: for records that outlive the process, never for intervals. */
  now(): number;
  /** Monotonic ms: for intervals and deadlines. */
  monotonic(): number;
  /** Rejects with the signal's reason when aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

// ---- Bytes -----------------------------------------------------------------------------------------------------------

/** Bytes that can be sent now: a range of an open file, or bytes in memory. Valid until its reader is closed. */
export type Segment =
  | { readonly fd: number; readonly position: number; readonly length: number }
  | { readonly bytes: Uint8Array };

/** One reader of a body whose size is known. */
export interface Body {
  readonly size: number;
  /** The whole body, where it is in memory. */
  readonly bytes?: Uint8Array;
  /**
   * The bytes at `offset`, at least one and at most `end - offset`; waits for them while the body still grows.
   * `end` ≤ size is where this reader means to stop. Rejects with the fill's error; then the response must be cut.
   */
  next(offset: number, end: number): Segment | Promise<Segment>;
  /** Idempotent. Segments handed out before are invalid afterwards. */
  close(): void;
}

/**
 * `public`: an anonymous lane had these bytes, so they need no link. `linked`: they are served under a repository only by its link.
 */
export type Access = "public" | "linked";

export interface StoredBlob {
  readonly access: Access;
  readonly tier: "memory" | "disk";
  readonly body: Body;
}

export interface StoredBytes {
  readonly access: Access;
  readonly tier: "memory" | "disk";
  readonly bytes: Buffer;
}

/** Verified bytes at rest, by digest. A failing disk is a miss here, and is logged and counted behind this port. */
export interface BlobStore {
  /**
   * Opens the bytes before anything is promised about them; undefined = not held, and from then on `stat` says so too. Rejects with
   * `busy` when this process has too many files open.
   */
  open(digest: Digest): Promise<StoredBlob | undefined>;
  /** The whole bytes of a small body (a manifest, at most 4 MiB); undefined = not held, or larger. */
  read(digest: Digest): Promise<StoredBytes | undefined>;
  /** Size and access without opening. */
  stat(digest: Digest): { readonly size: number; readonly access: Access } | undefined;
  /** Starts a spool for a blob that is to be kept under `digest`. Never rejects: without a disk it keeps a window only. */
  spool(digest: Digest, options: SpoolOptions): Promise<Spool>;
  remove(digest: Digest): Promise<void>;
}

export interface SpoolOptions {
  /** Called after `end` has grown, or when an append has failed for good. */
  readonly onGrow: () => void;
}

/**
 * The growing bytes of one fill: one writer, any number of readers by offset, hashed as they come, off the main thread.
 * When the disk refuses (ENOSPC, EIO) the spool goes on in memory with a bounded window: `start` then moves up, nothing can be
 * kept, and the writer is held back by the slowest reader.
 */
export interface Spool {
  /** Lowest offset that a new reader can still read. */
  readonly start: number;
  /** Bytes [start, end) can be read now. */
  readonly end: number;
  /**
   * Before the first chunk: the bytes are not to be kept, so they may go through memory alone, for one reader that takes them in turn;
   * `start` then moves up. A second reader, or one that lets the writer wait for long, has them go by the disk from there on.
   */
  pass(): void;
  /** Copies the chunk. A returned promise holds the writer back; it never rejects. */
  append(chunk: Uint8Array): void | Promise<void>;
  /** Waits for all appended bytes, then tells their digest (with the algorithm of the digest the spool is for). */
  finish(): Promise<Digest>;
  /**
   * Ends the writing. `keep` publishes the bytes under the digest (fsync, rename) and must follow a `finish` that matched;
   * `drop` leaves nothing behind. Open readers stay valid either way. Never rejects; resolves to whether the bytes are kept.
   */
  settle(outcome: { readonly keep: Access } | "drop"): Promise<boolean>;
  /** Throws RangeError when `offset` is below `start`. */
  reader(offset: number): SpoolReader;
}

export interface SpoolReader {
  /** What it has read must stay, also where bytes only pass: it may come back to it. */
  keepBehind(): void;
  /** Nothing below `offset` is wanted any more: a reader that waits far ahead must not hold a window back. */
  skip(offset: number): void;
  /** Bytes at `offset`; start ≤ offset < end, and never below an offset asked before. */
  segment(offset: number, lengthMax: number): Segment;
  close(): void;
}

/** Small bodies in memory, least recently used out first; what is larger than its bound is not taken. */
export interface MemoryStore {
  get(digest: Digest): MemoryEntry | undefined;
  put(digest: Digest, entry: MemoryEntry): void;
  remove(digest: Digest): void;
}

export interface MemoryEntry {
  readonly bytes: Buffer;
  readonly access: Access;
}

export type RecordKind = "link" | "tag" | "list";

export interface RecordKey {
  readonly repository: Repository;
  readonly kind: RecordKind;
  /** A digest for links, a tag for tags, free text for lists. */
  readonly name: string;
}

/** Small JSON documents that survive a restart. A failing disk reads as absent and is logged behind this port. */
export interface RecordStore {
  get(key: RecordKey): Promise<unknown>;
  put(key: RecordKey, value: unknown): Promise<void>;
  remove(key: RecordKey): Promise<void>;
}

// ---- Upstream --------------------------------------------------------------------------------------------------------

/** The way a request went upstream: an account or anonymous, by an egress address. */
export interface Lane {
  /** `<account or anonymous>@<egress>@<node>`; holds no secret. */
  readonly name: string;
  readonly access: Access;
}

export interface ManifestHead {
  readonly lane: Lane;
  /** Missing when upstream names none; then only a GET can tell. */
  readonly digest?: Digest;
  readonly mediaType?: string;
  readonly size?: number;
}

export interface ManifestAnswer extends Omit<ManifestHead, "size"> {
  /** As received and not yet verified; at most `manifestBytesMax`. */
  readonly bytes: Buffer;
}

/**
 * Manifests of one upstream or several. Rejects with a PullringError: missing, throttled, unavailable, unsupported (HEAD
 * refused), too_large.
 */
export interface ManifestSource {
  /** Free on Docker Hub. */
  head(repository: Repository, reference: Reference, signal?: AbortSignal): Promise<ManifestHead>;
  /** Counted on Docker Hub. */
  get(repository: Repository, reference: Reference, signal?: AbortSignal): Promise<ManifestAnswer>;
  /** Why a `get` would be refused now (nothing is left to be spent), asking nobody upstream. Absent = only a `get` can tell. */
  refusal?(repository: Repository, reference: Reference): Promise<PullringError | undefined>;
}

export interface BlobRequest {
  readonly repository: Repository;
  readonly digest: Digest;
  /** First byte wanted. */
  readonly offset: number;
  /** End of the range, exclusive; only for direct ranges (counted as blob_range). */
  readonly end?: number;
  readonly signal?: AbortSignal;
}

export interface BlobHead {
  readonly lane: Lane;
  /** Offset of the first byte that follows: the one asked for, or 0 when upstream ignored the range. */
  readonly offset: number;
  /** Size of the whole blob, when upstream says so. */
  readonly size?: number;
  /** Whether upstream takes ranges, as far as it says. */
  readonly resumable: boolean;
  /** The source, a peer, has all of it at rest: it can be had there again. */
  readonly whole?: boolean;
}

export interface BlobSink {
  /** Called once, before the first chunk. A throw ends the request with that error. */
  head(head: BlobHead): void;
  /** A returned promise holds upstream back until it settles. The chunk's memory is the caller's again when this returns. */
  write(chunk: Uint8Array): void | Promise<void>;
}

/** Blobs of one upstream or several. Rejects as ManifestSource does, and with `cut` for a body that broke, stalled or dripped. */
export interface BlobSource {
  head(repository: Repository, digest: Digest, signal?: AbortSignal): Promise<{ lane: Lane; size?: number }>;
  /** Resolves after the last byte that upstream declared. */
  get(request: BlobRequest, sink: BlobSink): Promise<void>;
}

/** A page of a tag list, or a whole referrers index; `next` is the query of the page after it. */
export interface ListPage {
  readonly lane: Lane;
  readonly body: Record<string, unknown>;
  readonly next?: string;
}

export interface ListSource {
  tags(repository: Repository, query: string, signal?: AbortSignal): Promise<ListPage>;
  referrers(repository: Repository, digest: Digest, signal?: AbortSignal): Promise<ListPage>;
}
