import type { Digest } from "@pullring/oci";

import { hasCode, PullringError } from "./errors.ts";
import type { Cluster, Holding, SharedBlobs } from "./cluster-ports.ts";
import type { Fill } from "./fill.ts";
import type { Fills } from "./fills.ts";
import { limits } from "./limits.ts";
import type { Links } from "./links.ts";
import type { Place } from "./places.ts";
import {
  repositoryKey,
  type Access,
  type BlobSource,
  type BlobStore,
  type Body,
  type Clock,
  type Repository,
} from "./ports.ts";
import type { Recent } from "./recent.ts";
import type { Role } from "./search.ts";

export interface OpenBlob {
  readonly body: Body;
  readonly tier: "memory" | "disk" | Place["tier"];
  readonly access: Access;
  /** It is at rest here, verified. */
  readonly whole?: boolean;
  /** It reads a fill that another request began. */
  readonly joined: boolean;
}

export interface BlobOrder {
  readonly repository: Repository;
  readonly digest: Digest;
  /** Address of the client, or the peer's id: for its share of the fills. */
  readonly client: string;
  /** `owner` for a peer, which is not to be sent on to another; `forward` unless told. */
  readonly role?: Role;
  /** It goes on with a body that was cut: refused for a while after the cut, so that the client goes elsewhere. */
  readonly resumes?: boolean;
}

export interface BlobsOptions {
  readonly clock: Clock;
  readonly store: BlobStore;
  readonly fills: Fills;
  readonly links: Links;
  readonly source: BlobSource;
  readonly missing: Recent<PullringError>;
  readonly cluster?: Cluster | undefined;
  readonly shared?: SharedBlobs | undefined;
}

export class Blobs {
  readonly #options: BlobsOptions;

  constructor(options: BlobsOptions) {
    this.#options = options;
  }

  /** Opens the blob for one response; the caller closes the body. */
  async open(order: BlobOrder): Promise<OpenBlob> {
    const { store, fills, links, missing } = this.#options;
    const { repository, digest, role = "forward" } = order;
    const key = `${repositoryKey(repository)}@${digest}`;
    for (;;) {
      const local = await this.#openLocal(order);
      if (local) return local;
      const size = (await links.get(repository, digest))?.size;
      const known = missing.get(key) ?? (order.resumes && fills.wasCut(digest) ? cutBefore() : undefined);
      if (known) throw known;
      // No await from here to the start: between a look and a start another request could begin the same fill.
      const running = fills.running(digest);
      if (!running && store.stat(digest)) continue;
      if (role === "owner") running?.claim();
      const fill = running ?? fills.start({ ...order, role, ...(size === undefined ? {} : { sizeExpected: size }) });
      try {
        const body = await this.#join(fill, order);
        return { body, tier: fill.tier, access: await fill.access, joined: running !== undefined };
      } catch (error) {
        if (running && (await this.#mayFillItself(running, { order, error }))) continue;
        if (await this.#mayAskElsewhere(fill, error)) continue;
        this.#remember(key, error);
        throw error;
      }
    }
  }

  /**
   * Opens what is here, for a peer: verified bytes, or those of a fill as far as they come without waiting for a peer. Rejects with
   * `missing` when there is nothing from `offset` on.
   */
  async openLeaf(order: BlobOrder & { readonly offset: number }): Promise<OpenBlob> {
    const { fills, links } = this.#options;
    const { repository, digest, offset } = order;
    const local = await this.#openLocal(order);
    if (local) return local;
    const fill = fills.running(digest);
    const body = fill && (await this.#joinSoon(fill, order));
    const holding = fills.holding(digest);
    if (!holding || (holding.state === "partial" && holding.bytes <= offset)) {
      body?.close();
      throw nothingHere();
    }
    if (body) return { body, tier: fill.tier, access: holding.access, joined: true };
    await links.require(repository, { kind: "blob", digest, access: holding.access });
    const left = fills.openLeft(digest);
    if (!left) throw nothingHere();
    return { body: left, tier: "disk", access: holding.access, joined: false };
  }

  /** What `openLeaf` would find; a look, without I/O. */
  holding(digest: Digest): Holding | undefined {
    const stat = this.#options.store.stat(digest);
    return stat ? { state: "whole", bytes: stat.size, ...stat } : this.#options.fills.holding(digest);
  }

  /** Size, for a client's HEAD; costs no GET. */
  async stat(repository: Repository, digest: Digest): Promise<{ size: number; tier: OpenBlob["tier"] }> {
    const { store, links, missing, source } = this.#options;
    const held = store.stat(digest);
    if (held) {
      await links.require(repository, { kind: "blob", digest, access: held.access });
      return { size: held.size, tier: "disk" };
    }
    const linked = (await links.get(repository, digest))?.size;
    if (linked !== undefined) return { size: linked, tier: "disk" };
    const key = `${repositoryKey(repository)}@${digest}`;
    const known = missing.get(key);
    if (known) throw known;
    const elsewhere = await this.#statElsewhere(repository, digest);
    if (elsewhere) return elsewhere;
    try {
      const { lane, size } = await source.head(repository, digest);
      if (size === undefined) throw new PullringError("unavailable", "upstream does not tell the size of this blob");
      await links.put(repository, digest, { kind: "blob", access: lane.access, size });
      return { size, tier: "upstream" };
    } catch (error) {
      this.#remember(key, error);
      throw error;
    }
  }

  async #openLocal({ repository, digest }: BlobOrder): Promise<OpenBlob | undefined> {
    const { store, links } = this.#options;
    const stat = store.stat(digest);
    if (!stat) return undefined;
    await links.require(repository, { kind: "blob", digest, access: stat.access });
    const stored = await store.open(digest);
    return stored && { body: stored.body, tier: stored.tier, access: stored.access, whole: true, joined: false };
  }

  /**
   * A fill's bytes are whose its lane says, so a joiner from another repository needs rights of its own. Peers and upstream check
   * them under the fill's repository, S3 does not.
   */
  async #join(fill: Fill, order: BlobOrder, leaf = false): Promise<Body> {
    const { cluster, shared } = this.#options;
    if (repositoryKey(fill.repository) !== repositoryKey(order.repository)) {
      if (leaf && !fill.holding()) throw nothingHere();
      await this.#requireAs(fill.repository, order, await fill.access);
    }
    const body = await fill.open({ leaf });
    if (!cluster && !shared) return body;
    try {
      await this.#settleRights(fill, order);
      return body;
    } catch (error) {
      body.close();
      throw error;
    }
  }

  /** A reader for a leaf, or undefined where nothing can be promised within a second: a peer that waits for longer takes us for hung. */
  async #joinSoon(fill: Fill, order: BlobOrder): Promise<Body | undefined> {
    const joined = new AbortController();
    const joining = this.#join(fill, order, true).catch(nothingYet);
    const late = this.#options.clock.sleep(limits.leafOpenMs, joined.signal).then(
      () => true,
      () => false,
    );
    const isLate = await Promise.race([late, joining.then(() => false)]).finally(() => joined.abort());
    if (!isLate) return joining;
    joining.then(
      (body) => body?.close(),
      () => {},
    );
    throw nothingHere();
  }

  /** Whoever answered under this repository has checked the right to it: that is kept as a link, for when nobody can be asked. */
  async #settleRights(fill: Fill, { repository, digest }: BlobOrder): Promise<void> {
    const { links } = this.#options;
    const access = await fill.access;
    if (fill.tier === "s3") await links.require(repository, { kind: "blob", digest, access });
    else if (access === "linked" && !(await links.get(repository, digest)))
      await links.put(repository, digest, { kind: "blob", access });
  }

  async #requireAs(filledAs: Repository, { repository, digest }: BlobOrder, access: Access): Promise<void> {
    if (repositoryKey(filledAs) === repositoryKey(repository)) return;
    await this.#options.links.require(repository, { kind: "blob", digest, access });
  }

  /** Size of what peers or S3 hold: it costs nothing upstream, and is known when upstream is down. */
  async #statElsewhere(
    repository: Repository,
    digest: Digest,
  ): Promise<{ size: number; tier: OpenBlob["tier"] } | undefined> {
    const { cluster, shared, links } = this.#options;
    const others = cluster?.owners.others(digest).slice(0, limits.holdersAskedMax) ?? [];
    const holders = others.length > 0 ? ((await cluster?.blobs.holders(others, repository, digest)) ?? []) : [];
    const held = holders.find(({ size }) => size !== undefined) ?? (await shared?.stat(digest));
    if (held?.size === undefined) return undefined;
    await links.require(repository, { kind: "blob", digest, access: held.access });
    return { size: held.size, tier: holders.length > 0 ? "peer" : "s3" };
  }

  /** Whether the next place may have what a peer or S3 sent wrongly: nobody has been promised anything yet. */
  async #mayAskElsewhere(fill: Fill, error: unknown): Promise<boolean> {
    if (!hasCode(error, "corrupt") || fill.tier === "upstream") return false;
    await this.#options.fills.ended(fill);
    return true;
  }

  /**
   * Whether a failed join means nothing for this order: the fill went under another repository, which has no rights to the
   * blob, or its first bytes are gone.
   */
  async #mayFillItself(fill: Fill, { order, error }: { order: BlobOrder; error: unknown }): Promise<boolean> {
    if (hasCode(error, "cut") && !fill.joinable()) return true;
    if (!hasCode(error, "missing") || repositoryKey(fill.repository) === repositoryKey(order.repository)) return false;
    return fill.access.then(
      () => false,
      () => true,
    );
  }

  #remember(key: string, error: unknown): void {
    if (hasCode(error, "missing") && error.reason !== "refused") this.#options.missing.set(key, error);
  }
}

/** What a leaf would have to wait for is not here. */
function nothingYet(error: unknown): undefined {
  if (!hasCode(error, "cut")) throw error;
}

const nothingHere = (): PullringError => new PullringError("missing", "this node has nothing of this blob");

const cutBefore = (): PullringError =>
  new PullringError("unavailable", "this blob could not be brought to its end a moment ago");
