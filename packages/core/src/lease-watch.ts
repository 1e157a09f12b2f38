import type { LeaseAnswer, NodeId } from "./cluster-ports.ts";
import { limits } from "./limits.ts";
import type { Clock } from "./ports.ts";

type Held = Extract<LeaseAnswer, { state: "held" }>;

/** What a waiter sees of whoever holds the lease that it waits for, and when it has seen enough to take it over. */
export class LeaseWatch {
  readonly #clock: Clock;
  readonly #self: NodeId;
  #held: Held | undefined;
  #bytes = 0;
  #movedAtMs = 0;
  #refusedAtMs: number | undefined;
  #isGone = false;
  #pauseMs: number = limits.leasePollMinMs;

  constructor(clock: Clock, self: NodeId) {
    this.#clock = clock;
    this.#self = self;
  }

  /** The lease is held, by its holder's own word so far. Here are `received` bytes; `movedAtMs` tells when it brought the last of them. */
  see(held: Held, { received, movedAtMs }: { received: number; movedAtMs: number | undefined }): void {
    const isAnother = held.token !== this.#held?.token;
    // What the holder has and holds back is no news.
    const known = Math.max(isAnother ? 0 : this.#bytes, received + limits.tailBytes);
    if (held.bytes > known || (isAnother && movedAtMs === undefined)) this.#move(this.#clock.monotonic());
    else if (isAnother || (movedAtMs ?? 0) > this.#movedAtMs) this.#move(movedAtMs ?? 0);
    this.#bytes = Math.max(known, held.bytes);
    // One fill per digest and process: a lease of this node's that is not this fill's is of one that has ended.
    if (isAnother) this.#isGone = held.holder === this.#self;
    this.#held = held;
  }

  /** The holder refused, or hung up before it brought a byte. */
  refused(): void {
    const nowMs = this.#clock.monotonic();
    if (this.#refusedAtMs !== undefined && nowMs - this.#refusedAtMs <= limits.refusalsWithinMs) this.#isGone = true;
    this.#refusedAtMs = nowMs;
    this.#pauseMs = limits.leasePollMinMs;
  }

  /** The token of a holder that is gone or stuck. */
  broken(): string | undefined {
    const isStuck = this.#clock.monotonic() - this.#movedAtMs >= limits.holderStuckMs;
    return this.#held && (this.#isGone || isStuck) ? this.#held.token : undefined;
  }

  /** How long to wait for the next look: longer each time that nothing has happened. */
  nextPauseMs(): number {
    const pauseMs = this.#pauseMs;
    this.#pauseMs = Math.min(limits.leasePollMaxMs, pauseMs * 2);
    return pauseMs;
  }

  #move(atMs: number): void {
    this.#movedAtMs = atMs;
    this.#refusedAtMs = undefined;
    this.#pauseMs = limits.leasePollMinMs;
  }
}
