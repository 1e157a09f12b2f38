import type { Digest } from "@pullring/oci";

import type { Holding, SharedBlobs } from "./cluster-ports.ts";
import { hasCode } from "./errors.ts";
import type { FillGate } from "./fill-gate.ts";
import type { FillSource } from "./fill-source.ts";
import { Fill, type FillEnd } from "./fill.ts";
import { LeftSpools, type HeldSpool } from "./left-spools.ts";
import { limits } from "./limits.ts";
import type { AroundFill, Observe } from "./observe.ts";
import type { Place } from "./places.ts";
import type { Access, BlobStore, Body, Clock, Repository } from "./ports.ts";
import type { Quarantine } from "./quarantine.ts";
import { makeRecent, type Recent } from "./recent.ts";
import type { Role, SearchOrder } from "./search.ts";
import type { Tombstones } from "./tombstones.ts";

export interface FillOrder {
  readonly digest: Digest;
  readonly repository: Repository;
  /** The client's address, or the peer's id. */
  readonly client: string;
  readonly role: Role;
  readonly sizeExpected?: number;
}

export interface FillsOptions {
  readonly openSource: (order: SearchOrder) => FillSource;
  readonly store: BlobStore;
  readonly clock: Clock;
  /** Peers have a gate of their own: clients' fills may be waiting for theirs, here and elsewhere. */
  readonly gates: Readonly<Record<Role, FillGate>>;
  readonly observe: Observe;
  readonly around?: AroundFill | undefined;
  readonly quarantine: Quarantine;
  readonly tombstones: Tombstones;
  /** Whether bytes that came from a peer or S3 are worth their place here. */
  readonly isWanted: (digest: Digest) => boolean;
  readonly shared?: SharedBlobs | undefined;
  /** Told of bytes that are at rest here from now on, and under which repository they were asked for. */
  readonly onKept?:
    | ((kept: { repository: Repository; digest: Digest; size: number; access: Access }) => void)
    | undefined;
}

interface Ended {
  readonly order: FillOrder;
  readonly fill: Fill;
  readonly held: HeldSpool | undefined;
  readonly end: FillEnd;
}

/** The fills that this process runs, by digest, and what is remembered of those that ended badly. */
export class Fills {
  readonly #options: FillsOptions;
  readonly #running = new Map<Digest, Fill>();
  readonly #ends = new Map<Fill, Promise<void>>();
  readonly #left: LeftSpools;
  readonly #cuts: Recent<true>;

  constructor(options: FillsOptions) {
    this.#options = options;
    this.#left = new LeftSpools(options.clock);
    this.#cuts = makeRecent(options.clock, { ttlMs: limits.cutRememberedMs, entriesMax: limits.negativesMax });
  }

  /** The fill of this digest that a new reader can join: none that a purge was to end, or its bytes would outlive that with the reader. */
  running(digest: Digest): Fill | undefined {
    const fill = this.#running.get(digest);
    return fill?.joinable() && !this.#isPurged(fill) ? fill : undefined;
  }

  /** Begins a fill; there must be none to join. */
  start(order: FillOrder): Fill {
    const { clock, gates, openSource, around = (_, run) => run() } = this.#options;
    const claimed = new AbortController();
    let release = (): void => {};
    let held: HeldSpool | undefined;
    const fill = new Fill({
      ...order,
      clock,
      openSource: (onAsk) => urgent(openSource({ ...order, onAsk }), claimed),
      openSpool: async (onGrow) => {
        release = await gates[order.role].enter(order.client, claimed.signal);
        held = await this.#openSpool(order.digest, onGrow);
        return held;
      },
      isToKeep: (of) => this.#isToKeep(of, held),
    });
    const ended = around(order, async () => {
      const end = await fill.run();
      release();
      await this.#onEnd({ order, fill, held, end });
    });
    this.#running.set(order.digest, fill);
    this.#ends.set(fill, ended);
    return fill;
  }

  /** True for a while after a response was cut: a resume must then be refused, so that the client goes elsewhere. */
  wasCut(digest: Digest): boolean {
    return this.#cuts.get(digest) === true;
  }

  list(): readonly Fill[] {
    return [...this.#ends.keys()];
  }

  /** Resolves when the fill has ended, and what is held against its source is known. */
  async ended(fill: Fill): Promise<void> {
    await this.#ends.get(fill);
  }

  /** What a leaf can have of a fill that runs or has broken. */
  holding(digest: Digest): Holding | undefined {
    return this.running(digest)?.holding() ?? this.#left.holding(digest);
  }

  /** A reader of the spool that a broken fill left, up to its end. */
  openLeft(digest: Digest): Body | undefined {
    return this.#left.open(digest);
  }

  /** What a fill left behind goes; one that runs is not published if it began before its digest's tombstone. */
  forget(digest: Digest): Promise<void> {
    return this.#left.drop(digest);
  }

  /** Resolves when the fills that run now have ended, and lets go of the spools they left. */
  async settled(): Promise<void> {
    await Promise.all(this.#ends.values());
    await this.#left.dropAll();
  }

  #isPurged({ digest, beganAt }: Fill): boolean {
    return this.#options.tombstones.isPurged(digest, beganAt);
  }

  /** Also when all of it came from who may not have heard of the purge; what upstream was asked for since may stay. */
  #mayBePurged(fill: Fill, held: HeldSpool | undefined): boolean {
    const places = [...(held?.brought.values() ?? [])];
    const isCopy = places.length > 0 && places.every(({ tier }) => tier !== "upstream");
    return isCopy ? this.#options.tombstones.isCopyPurged(fill.digest, fill.beganAt) : this.#isPurged(fill);
  }

  #isToKeep(fill: Fill, held: HeldSpool | undefined): boolean {
    if (this.#mayBePurged(fill, held)) return false;
    return (
      this.#options.isWanted(fill.digest) || !held || [...held.brought.values()].some(({ tier }) => tier === "upstream")
    );
  }

  async #onEnd(ended: Ended): Promise<void> {
    const { fill, end } = ended;
    this.#report(ended);
    if (end.state === "passed") {
      await fill.close();
      while (fill.readers > 0) await fill.unread();
    }
    this.#ends.delete(fill);
    if (this.#running.get(fill.digest) === fill) this.#running.delete(fill.digest);
    await this.#settle(ended);
    await fill.close();
  }

  /** What becomes of the bytes. Only then is the lease let go, so that whoever has it next finds them. */
  async #settle({ fill, held, end }: Ended): Promise<void> {
    const { store, shared, onKept } = this.#options;
    if (end.state === "done") {
      const isNew = [...(held?.brought.values() ?? [])].some(({ tier }) => tier === "upstream");
      // Publishing takes a while, and a purge meanwhile found nothing to remove.
      if (end.kept && this.#mayBePurged(fill, held)) await store.remove(fill.digest);
      else if (end.kept) {
        if (isNew) shared?.upload(fill.digest);
        const { repository, digest } = fill;
        onKept?.({ repository, digest, size: end.bytes, access: await fill.access });
      }
    } else if (end.state !== "passed" && end.spool && held && end.bytes > 0 && !this.#mayBePurged(fill, held)) {
      const isOurs = [...held.brought.values()].every(({ tier }) => tier === "upstream");
      const access = await fill.access.catch(() => undefined);
      const keptMs = isOurs ? limits.spoolKeptMs : limits.peerSpoolKeptMs;
      this.#left.leave(fill.digest, held, { access, size: fill.progress().size, keptMs });
    } else await end.spool?.settle("drop");
  }

  #report({ order, held, end }: Ended): void {
    const { digest } = order;
    const { observe, quarantine } = this.#options;
    const { state, bytes } = end;
    if (end.state === "done") return observe({ kind: "fill_ended", digest, state: "done", bytes, kept: end.kept });
    if (end.state === "passed") return observe({ kind: "fill_ended", digest, state: "passed", bytes, kept: false });
    observe({ kind: "fill_ended", digest, state: end.state, bytes, kept: false, error: end.error });
    if (state === "failed" && bytes > 0) this.#cuts.set(digest, true);
    if (!hasCode(end.error, "corrupt")) return undefined;
    for (const place of toBlame(held)) quarantine.put(place, order, end.error.message);
    return undefined;
  }

  async #openSpool(digest: Digest, onGrow: () => void): Promise<HeldSpool> {
    const left = this.#left.take(digest);
    if (left) {
      left.onGrow = onGrow;
      return left;
    }
    const relay = { onGrow, brought: new Map<string, Place>() };
    const spool = await this.#options.store.spool(digest, { onGrow: () => relay.onGrow() });
    return Object.assign(relay, { spool });
  }
}

/**
 * Whose bytes were wrong is not known where several brought them. Then it is held against peers and S3: if it was upstream, the
 * next fill, which that feeds alone, will tell.
 */
function toBlame(held: HeldSpool | undefined): readonly Place[] {
  const places = [...(held?.brought.values() ?? [])];
  const others = places.filter(({ tier }) => tier !== "upstream");
  return others.length > 0 ? others : [{ tier: "upstream" }];
}

/** A fill that a peer waits for must not stand in the clients' queue. */
const urgent = (source: FillSource, claimed: AbortController): FillSource => ({
  ...source,
  claim() {
    claimed.abort();
    source.claim();
  },
});
