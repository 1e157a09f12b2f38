import { randomBytes } from "node:crypto";

import type { Clock, LeaseAnswer, Leases, NodeId } from "@pullring/core";
import type { Digest } from "@pullring/oci";

import { HeldLease } from "./held-lease.ts";
import { type Claim, type Granting, LeaseStore } from "./lease-store.ts";
import { Strays } from "./strays.ts";
import { Waiters } from "./waiters.ts";
import { type Redis, RedisUnavailable } from "../redis/index.ts";

export type LeaseOutcome = "acquired" | "mine" | "held" | "unavailable" | "lost" | "taken_over" | "released";

export interface RedisLeasesOptions {
  readonly redis: Redis;
  readonly self: NodeId;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: { warn(facts: object, message: string): void };
  readonly observe: (event: { readonly outcome: LeaseOutcome }) => void;
}

const tokenBytes = 16;
/** A script whose answer was lost is asked once more; with that a miss waits for two commands at most. */
const triesMax = 2;

class RedisLeases implements Leases {
  readonly #options: RedisLeasesOptions;
  readonly #store: LeaseStore;
  readonly #strays: Strays;
  readonly #waiters: Waiters;
  readonly #held = new Map<Digest, HeldLease>();
  /** What is done to one digest's lease is done one after the other. */
  readonly #turns = new Map<Digest, Promise<unknown>>();

  constructor(options: RedisLeasesOptions) {
    const { redis, self, clock } = options;
    this.#options = options;
    this.#store = new LeaseStore(redis, self);
    this.#waiters = new Waiters(clock, (listener) => this.#store.onChange(listener));
    this.#strays = new Strays({
      clock,
      inTurn: (digest, work) => this.#inTurn(digest, work),
      release: (claim) => this.#store.release(claim),
    });
  }

  acquire(digest: Digest, breaking?: string): Promise<LeaseAnswer> {
    return this.#inTurn(digest, async () => {
      const answer = await this.#acquire(digest, breaking);
      if (answer.state !== "acquired") this.#options.observe({ outcome: answer.state });
      return answer;
    });
  }

  changed(digest: Digest, withinMs: number, signal?: AbortSignal): Promise<void> {
    return this.#waiters.wait(digest, withinMs, signal);
  }

  async #acquire(digest: Digest, breaking: string | undefined): Promise<LeaseAnswer> {
    const own = this.#held.get(digest);
    if (own && !own.lost) return this.#acquired(own, "mine");
    const { clock, self } = this.#options;
    const stray = own ? undefined : this.#strays.take(digest);
    const token = own?.claim.token ?? stray ?? randomBytes(tokenBytes).toString("hex");
    const claim = { digest, token };
    let superseding = breaking;
    for (let tried = 1; ; tried += 1) {
      const sentAtMs = clock.monotonic();
      const granted = await this.#ask(claim, superseding);
      if (granted === "lost" && tried < triesMax) continue;
      if (granted === "lost" || granted === "away") {
        // Its fill goes on, and so do its renewals: they will find out.
        if (!own && (granted === "lost" || stray !== undefined)) this.#strays.add(claim);
        return { state: "unavailable" };
      }
      if (granted.state !== "held") return this.#take(claim, granted, sentAtMs);
      own?.supersede();
      // Nobody here holds that token: it is from before this node's restart.
      if (granted.holder !== self || tried >= triesMax) return granted;
      superseding = granted.token;
    }
  }

  /** `lost`: the script may have run. `away`: it has not. */
  async #ask(claim: Claim, breaking: string | undefined): Promise<Granting | "lost" | "away"> {
    try {
      return await this.#store.acquire(claim, breaking);
    } catch (error) {
      if (error instanceof RedisUnavailable) return error.mayHaveRun ? "lost" : "away";
      this.#options.log.warn({ error: (error as Error).message }, "no lease");
      return "away";
    }
  }

  #take(claim: Claim, granted: Extract<Granting, { attempt: number }>, sentAtMs: number): LeaseAnswer {
    const own = this.#held.get(claim.digest);
    if (own?.claim.token === claim.token) {
      own.confirm(sentAtMs);
      return this.#acquired(own, granted.state);
    }
    const { clock, random } = this.#options;
    const lease: HeldLease = new HeldLease({
      store: this.#store,
      claim,
      attempt: granted.attempt,
      sentAtMs,
      clock,
      random,
      onLost: () => this.#lost(lease),
      onReleased: () => this.#release(lease),
    });
    this.#held.set(claim.digest, lease);
    return this.#acquired(lease, granted.state);
  }

  #acquired(lease: HeldLease, outcome: "acquired" | "mine" | "taken_over"): LeaseAnswer {
    this.#options.observe({ outcome });
    return { state: "acquired", lease, attempt: lease.attempt };
  }

  #lost(lease: HeldLease): void {
    const { digest } = lease.claim;
    this.#options.observe({ outcome: "lost" });
    this.#options.log.warn({ digest, superseded: lease.isSuperseded }, "lease lost; its fill goes on");
    if (lease.isSuperseded) this.#forget(lease);
  }

  #release(lease: HeldLease): Promise<void> {
    this.#forget(lease);
    return this.#inTurn(lease.claim.digest, async () => {
      this.#options.observe({ outcome: "released" });
      await this.#store.release(lease.claim).catch(() => this.#strays.add(lease.claim));
    });
  }

  #forget(lease: HeldLease): void {
    const { digest } = lease.claim;
    if (this.#held.get(digest) === lease) this.#held.delete(digest);
  }

  #inTurn<T>(digest: Digest, work: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(digest) ?? Promise.resolve();
    const result = before.then(work);
    const turn: Promise<void> = result.then(
      () => this.#leave(digest, turn),
      () => this.#leave(digest, turn),
    );
    this.#turns.set(digest, turn);
    return result;
  }

  #leave(digest: Digest, turn: Promise<unknown>): void {
    if (this.#turns.get(digest) === turn) this.#turns.delete(digest);
  }
}

/** Leases in Redis. They end with the process or by themselves; nothing needs to be closed. */
export const makeRedisLeases = (options: RedisLeasesOptions): Leases => new RedisLeases(options);
