import type { Digest } from "@pullring/oci";

import type { Holding } from "./cluster-ports.ts";
import { PullringError } from "./errors.ts";
import { limits } from "./limits.ts";
import type { Place } from "./places.ts";
import type { Access, Body, Clock, Spool } from "./ports.ts";

/** A spool outlives the fill that opened it, so whom it tells of its growth can change. */
export interface HeldSpool {
  readonly spool: Spool;
  onGrow: () => void;
  /** Who brought its bytes, by name: more than one where a transfer went on elsewhere. */
  readonly brought: Map<string, Place>;
  size?: number | undefined;
  access?: Access | undefined;
}

/**
 * What is known of the blob whose beginning a spool holds. Not whose it is: fills of several repositories may have gone on with it, and
 * some of them had no right to what they found.
 */
export interface LeftFacts {
  readonly size: number | undefined;
  readonly access: Access | undefined;
}

type Left = HeldSpool & LeftFacts;

/** The spools of fills that broke or stopped, each for a while: for the next fill to go on with, and for peers to copy. */
export class LeftSpools {
  readonly #clock: Clock;
  readonly #left = new Map<Digest, Left>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  take(digest: Digest): HeldSpool | undefined {
    const left = this.#left.get(digest);
    this.#left.delete(digest);
    return left;
  }

  leave(digest: Digest, held: HeldSpool, facts: LeftFacts & { readonly keptMs: number }): void {
    const { size = held.size, access = held.access } = facts;
    held.onGrow = () => {};
    const left = Object.assign(held, { size, access });
    this.#left.set(digest, left);
    const oldest = this.#left.size > limits.spoolsKeptMax ? this.#left.keys().next().value : undefined;
    if (oldest) void this.drop(oldest);
    this.#clock.sleep(facts.keptMs).then(
      () => (this.#left.get(digest) === left ? this.drop(digest) : undefined),
      () => {},
    );
  }

  async drop(digest: Digest): Promise<void> {
    await this.take(digest)?.spool.settle("drop");
  }

  async dropAll(): Promise<void> {
    await Promise.all([...this.#left.keys()].map((digest) => this.drop(digest)));
  }

  /** What there is for a peer: nothing of a blob whose size is unknown, since no body could be promised of it. */
  holding(digest: Digest): Holding | undefined {
    const left = this.#left.get(digest);
    if (!left || left.size === undefined || left.access === undefined || left.spool.start > 0) return undefined;
    const { size, access } = left;
    const bytes = readableOf(left.spool.end, size);
    return bytes > 0 ? { state: "partial", bytes, size, access } : undefined;
  }

  /** A reader up to the spool's end, where it is cut. */
  open(digest: Digest): Body | undefined {
    const left = this.#left.get(digest);
    const size = left?.size;
    if (!left || size === undefined || !this.holding(digest)) return undefined;
    const reader = left.spool.reader(0);
    return {
      size,
      next(offset, end) {
        const readable = Math.min(end, readableOf(left.spool.end, size));
        if (offset >= readable) return Promise.reject(new PullringError("cut", "here the kept part of this blob ends"));
        return reader.segment(offset, readable - offset);
      },
      close: () => reader.close(),
    };
  }
}

/** Nothing of the tail: no response reaches a blob's last byte with bytes that were not verified. */
export const readableOf = (end: number, size: number): number =>
  size <= limits.verifyFirstBytesMax ? 0 : Math.min(end, size - limits.tailBytes);
