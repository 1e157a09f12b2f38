import type { Digest } from "@pullring/oci";

import type { Cluster, Holder, Lease, LeaseAnswer, NodeId, SharedBlobs } from "./cluster-ports.ts";
import { hasCode, PullringError } from "./errors.ts";
import type { Hot } from "./hot.ts";
import { LeaseWatch } from "./lease-watch.ts";
import { limits } from "./limits.ts";
import type { Place } from "./places.ts";
import type { Clock, Repository } from "./ports.ts";
import type { Quarantine } from "./quarantine.ts";
import type { Recent } from "./recent.ts";

/** `forward`: for a client, so the digest's owner is asked first. `owner`: for a peer, so no peer is asked to `get` any more. */
export type Role = "forward" | "owner";

export interface SearchParts {
  readonly clock: Clock;
  readonly cluster?: Cluster | undefined;
  readonly shared?: SharedBlobs | undefined;
  readonly quarantine: Quarantine;
  readonly hot: Hot;
  /** Digests that no peer had a moment ago. */
  readonly unheld: Recent<true>;
}

export interface SearchOrder {
  readonly repository: Repository;
  readonly digest: Digest;
  readonly role: Role;
  /** Told when a place begins to be asked; undefined while there is none, and only waiting. */
  readonly onAsk?: (place: Place | undefined) => void;
}

export interface Wanted<T> {
  readonly signal: AbortSignal;
  /** Bytes of the body that are here already. */
  received(): number;
  /** Takes the rest of it from the place. Wrong bytes that it notices reject with `corrupt`. */
  take(place: Place, signal: AbortSignal): Promise<T>;
}

interface Got<T> {
  readonly value: T;
}

/** One search for the bytes of a digest: from the nearest place that has them, and only once by the whole cluster from upstream. */
export class Search {
  readonly #parts: SearchParts;
  readonly #order: SearchOrder;
  readonly #claimed = new AbortController();
  readonly #broken = new Set<NodeId>();
  #role: Role;
  #lease: Lease | undefined;
  #asked: Place | undefined;
  #moved: { readonly by: Place | undefined; readonly atMs: number } | undefined;

  constructor(parts: SearchParts, order: SearchOrder) {
    this.#parts = parts;
    this.#order = order;
    this.#role = parts.cluster ? order.role : "owner";
  }

  /** May be called again for what is missing after it rejected with `cut`: each call decides afresh where the rest comes from. */
  async find<T>(wanted: Wanted<T>): Promise<T> {
    return ((await this.askOwners(wanted)) ?? (await this.actAsOwner(wanted))).value;
  }

  /**
   * Asks the digest's owner, and the next one in the ring when that can't be reached; what it answers is the answer. undefined:
   * this node is to act as the owner.
   */
  async askOwners<T>(wanted: Wanted<T>): Promise<Got<T> | undefined> {
    for (const node of this.#ownersToAsk()) {
      const before = wanted.received();
      if (!this.#asked) this.#parts.hot.forwarded(this.#order.digest);
      try {
        const signal = AbortSignal.any([wanted.signal, this.#claimed.signal]);
        return await this.#take({ tier: "peer", node, verb: "get" }, { ...wanted, signal });
      } catch (error) {
        wanted.signal.throwIfAborted();
        if (this.#claimed.signal.aborted) break;
        if (wanted.received() - before < limits.resumeProgressBytesMin) this.#broken.add(node);
        if (!hasCode(error, "unreachable", "corrupt")) throw error;
      }
    }
    this.#role = "owner";
    return undefined;
  }

  /** The steps of an owner. It asks leaves only, so nobody whom it waits for can be waiting for it. */
  async actAsOwner<T>(wanted: Wanted<T>): Promise<Got<T>> {
    const { quarantine } = this.#parts;
    this.#role = "owner";
    if (!this.#lease || this.#lease.lost) {
      const near = (await this.#fromHolders(wanted)) ?? (await this.#fromShared(wanted));
      const got = near ?? (await this.#awaitTurn(wanted));
      if (got) return got;
    }
    const upstream = { tier: "upstream" } as const;
    if (quarantine.has(upstream, this.#order))
      throw new PullringError("unavailable", "upstream sent wrong bytes for this digest a moment ago");
    return this.#take(upstream, wanted);
  }

  /** A peer takes this node for the owner: from now on it is, or two nodes could wait for each other. */
  claim(): void {
    if (this.#role === "owner") return;
    this.#role = "owner";
    this.#claimed.abort(new PullringError("unavailable", "a peer takes this node for the owner"));
  }

  /** So many bytes are here: those who wait for the lease see that it moves, and this search that its source does. */
  progress(bytes: number): void {
    this.#moved = { by: this.#asked, atMs: this.#parts.clock.monotonic() };
    this.#lease?.progress(bytes);
  }

  /** Lets go of the lease. Not before the bytes are where others can have them. */
  async close(): Promise<void> {
    const lease = this.#lease;
    this.#lease = undefined;
    await lease?.release();
  }

  *#ownersToAsk(): Generator<NodeId> {
    const { cluster, quarantine } = this.#parts;
    if (!cluster || this.#role === "owner") return;
    const { owners } = cluster;
    for (const node of owners.of(this.#order.digest).slice(0, limits.ownersAskedMax)) {
      if (node === owners.self) return;
      const isRefused = quarantine.has({ tier: "peer", node, verb: "get" }, this.#order);
      if (!isRefused && !this.#broken.has(node)) yield node;
    }
  }

  /** Peers that have it, whole or growing; then the longest part of it, which ends early, so that others are looked for again. */
  async #fromHolders<T>(wanted: Wanted<T>, again = false): Promise<Got<T> | undefined> {
    for (let looksAgain = again; ; looksAgain = true) {
      const before = wanted.received();
      for (const { node } of await this.#holders(before, looksAgain)) {
        const got = await this.#tryTake({ tier: "peer", node, verb: "read" }, wanted);
        if (got) return got;
      }
      if (wanted.received() - before < limits.resumeProgressBytesMin) return undefined;
    }
  }

  async #holders(received: number, looksAgain: boolean): Promise<readonly Holder[]> {
    const { cluster, unheld } = this.#parts;
    const { repository, digest } = this.#order;
    const others = cluster?.owners.others(digest).slice(0, limits.holdersAskedMax) ?? [];
    if (!cluster || others.length === 0 || (!looksAgain && unheld.get(digest))) return [];
    const found = await cluster.blobs.holders(others, repository, digest);
    if (found.length === 0) unheld.set(digest, true);
    const ranks = { whole: 0, growing: 1, partial: 2 };
    return found
      .filter(({ state, bytes }) => state !== "partial" || bytes > received)
      .sort((a, b) => ranks[a.state] - ranks[b.state] || b.bytes - a.bytes);
  }

  #fromShared<T>(wanted: Wanted<T>): Promise<Got<T> | undefined> | undefined {
    return this.#parts.shared ? this.#tryTake({ tier: "s3" }, wanted) : undefined;
  }

  /** Takes the lease, or what its holder has while it is held. undefined: upstream is to be asked, with the lease or without. */
  async #awaitTurn<T>(wanted: Wanted<T>): Promise<Got<T> | undefined> {
    const { cluster, clock } = this.#parts;
    if (!cluster) return undefined;
    const { digest } = this.#order;
    const watch = new LeaseWatch(clock, cluster.owners.self);
    for (let waited = false; ; waited = true) {
      const answer = await cluster.leases.acquire(digest, watch.broken());
      if (answer.state === "unavailable") return undefined;
      if (answer.state === "acquired") {
        // One that was lost for a while may be the same again, and is not to be let go then.
        if (this.#lease !== answer.lease) await this.close();
        this.#lease = answer.lease;
        wanted.signal.throwIfAborted();
        // Whoever had it before may have brought all of it, or a part.
        const got = waited || answer.attempt > 1 ? await this.#fromHolders(wanted, true) : undefined;
        if (got) await this.close();
        return got;
      }
      const got = await this.#follow(answer, watch, wanted);
      if (got) return got;
      this.#ask(undefined);
      await cluster.leases.changed(digest, watch.nextPauseMs(), wanted.signal);
      wanted.signal.throwIfAborted();
    }
  }

  /** Reads from the spool of the lease's holder. undefined: it has no more at the moment, or can't be asked. */
  async #follow<T>(
    held: Extract<LeaseAnswer, { state: "held" }>,
    watch: LeaseWatch,
    wanted: Wanted<T>,
  ): Promise<Got<T> | undefined> {
    const before = wanted.received();
    const place = { tier: "peer", node: held.holder, verb: "read" } as const;
    let failure: unknown;
    watch.see(held, { received: before, movedAtMs: this.#movedBy(held.holder) });
    if (held.holder === this.#parts.cluster?.owners.self) return undefined;
    const got = await this.#tryTake(place, wanted, (error) => (failure = error));
    watch.see(held, { received: wanted.received(), movedAtMs: this.#movedBy(held.holder) });
    // Silence is not a refusal: whoever is only slow is given the time that a holder has to move.
    const isRefusal = hasCode(failure, "unreachable", "cut") && failure.reason !== "timeout";
    if (isRefusal && wanted.received() === before) watch.refused();
    return got;
  }

  /** When the node brought the last byte that came, if it did. */
  #movedBy(node: NodeId): number | undefined {
    const by = this.#moved?.by;
    return by?.tier === "peer" && by.node === node ? this.#moved?.atMs : undefined;
  }

  #ask(place: Place | undefined): void {
    this.#asked = place;
    this.#order.onAsk?.(place);
  }

  /** undefined: there is no more to be had there, or it can't be asked; what it brought stays. */
  async #tryTake<T>(
    place: Place,
    wanted: Wanted<T>,
    onFailure: (error: PullringError) => void = () => {},
  ): Promise<Got<T> | undefined> {
    if (this.#parts.quarantine.has(place, this.#order)) return undefined;
    try {
      return await this.#take(place, wanted);
    } catch (error) {
      wanted.signal.throwIfAborted();
      if (!(error instanceof PullringError)) throw error;
      onFailure(error);
      return undefined;
    }
  }

  async #take<T>(place: Place, wanted: Wanted<T>): Promise<Got<T>> {
    this.#ask(place);
    try {
      return { value: await wanted.take(place, wanted.signal) };
    } catch (error) {
      if (place.tier !== "upstream" && hasCode(error, "corrupt"))
        this.#parts.quarantine.put(place, this.#order, error.message);
      throw error;
    }
  }
}
