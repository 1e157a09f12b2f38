import type { Digest } from "@pullring/oci";

import { hasCode, PullringError } from "./errors.ts";
import type { FillGate } from "./fill-gate.ts";
import { Fill, type FillEnd } from "./fill.ts";
import { limits } from "./limits.ts";
import type { Observe } from "./observe.ts";
import type { BlobSource, BlobStore, Clock, Repository, Spool } from "./ports.ts";
import { makeRecent, type Recent } from "./recent.ts";

export interface FillOrder {
  readonly digest: Digest;
  readonly repository: Repository;
  readonly client: string;
  readonly sizeExpected?: number;
}

export interface FillsOptions {
  readonly source: BlobSource;
  readonly store: BlobStore;
  readonly clock: Clock;
  readonly gate: FillGate;
  readonly observe: Observe;
}

/** A spool outlives the fill that opened it, so whom it tells of its growth can change. */
interface Held {
  readonly spool: Spool;
  onGrow: () => void;
}

/** The fills that this process runs, by digest, and what is remembered of those that ended badly. */
export class Fills {
  readonly #options: FillsOptions;
  readonly #running = new Map<Digest, Fill>();
  readonly #ends = new Map<Fill, Promise<void>>();
  readonly #left = new Map<Digest, Held>();
  readonly #cuts: Recent<true>;
  readonly #quarantine: Recent<true>;

  constructor(options: FillsOptions) {
    const entriesMax = limits.negativesMax;
    this.#options = options;
    this.#cuts = makeRecent(options.clock, { ttlMs: limits.cutRememberedMs, entriesMax });
    this.#quarantine = makeRecent(options.clock, { ttlMs: limits.quarantineMs, entriesMax });
  }

  /** The fill of this digest that a new reader can join. */
  running(digest: Digest): Fill | undefined {
    const fill = this.#running.get(digest);
    return fill?.joinable() ? fill : undefined;
  }

  /** Begins a fill; there must be none to join. Throws `unavailable` for bytes in quarantine. */
  start(order: FillOrder): Fill {
    const { source, clock, gate } = this.#options;
    if (this.#quarantine.get(sourceKey(order)))
      throw new PullringError("unavailable", "upstream sent wrong bytes for this digest a moment ago");
    let release = (): void => {};
    let held: Held | undefined;
    const openSpool = async (onGrow: () => void): Promise<Spool> => {
      release = await gate.enter(order.client);
      held = await this.#openSpool(order.digest, onGrow);
      return held.spool;
    };
    const fill = new Fill({ ...order, source, clock, openSpool });
    const ended = fill.run().then(async (end) => {
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

  /** Resolves when the fills that run now have ended, and lets go of the spools they left. */
  async settled(): Promise<void> {
    await Promise.all(this.#ends.values());
    await Promise.all([...this.#left.keys()].map((digest) => this.#drop(digest)));
  }

  async #onEnd(ended: { order: FillOrder; fill: Fill; held: Held | undefined; end: FillEnd }): Promise<void> {
    const { order, fill, held, end } = ended;
    this.#ends.delete(fill);
    if (this.#running.get(order.digest) === fill) this.#running.delete(order.digest);
    this.#report(order, end);
    if (end.state === "done") return;
    if (end.spool && held && end.bytes > 0) this.#leave(order.digest, held);
    else await end.spool?.settle("drop");
  }

  #report(order: FillOrder, end: FillEnd): void {
    const { digest, repository } = order;
    const { observe } = this.#options;
    const { state, bytes } = end;
    if (end.state === "done") return observe({ kind: "fill_ended", digest, state: "done", bytes, kept: end.kept });
    observe({ kind: "fill_ended", digest, state, bytes, kept: false, error: end.error });
    if (state === "failed" && bytes > 0) this.#cuts.set(digest, true);
    if (!hasCode(end.error, "corrupt")) return undefined;
    this.#quarantine.set(sourceKey(order), true);
    const { upstream } = repository;
    return observe({ kind: "mismatch", source: "upstream", upstream, digest, detail: end.error.message });
  }

  async #openSpool(digest: Digest, onGrow: () => void): Promise<Held> {
    const left = this.#left.get(digest);
    this.#left.delete(digest);
    if (left) {
      left.onGrow = onGrow;
      return left;
    }
    const relay = { onGrow };
    const spool = await this.#options.store.spool(digest, { onGrow: () => relay.onGrow() });
    return Object.assign(relay, { spool });
  }

  /** Leaves the spool of a fill that broke or stopped to the next one, for a while. */
  #leave(digest: Digest, held: Held): void {
    held.onGrow = () => {};
    this.#left.set(digest, held);
    const oldest = this.#left.size > limits.spoolsKeptMax ? this.#left.keys().next().value : undefined;
    if (oldest) void this.#drop(oldest);
    this.#options.clock.sleep(limits.spoolKeptMs).then(
      () => (this.#left.get(digest) === held ? this.#drop(digest) : undefined),
      () => {},
    );
  }

  async #drop(digest: Digest): Promise<void> {
    const held = this.#left.get(digest);
    this.#left.delete(digest);
    await held?.spool.settle("drop");
  }
}

const sourceKey = ({ repository, digest }: FillOrder): string => `${repository.upstream} ${digest}`;
