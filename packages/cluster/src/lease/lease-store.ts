import type { Digest } from "@pullring/oci";

import { acquireScript, releaseScript, renewScript } from "./scripts.ts";
import { leaseLimits as limits } from "../limits.ts";
import type { Redis } from "../redis/index.ts";

/** What the acquire script answers. */
export type Granting =
  | { readonly state: "acquired" | "mine" | "taken_over"; readonly attempt: number }
  | { readonly state: "held"; readonly token: string; readonly holder: string; readonly bytes: number };

export interface Claim {
  readonly digest: Digest;
  readonly token: string;
}

/** Leases in Redis, one script each. All reject with RedisUnavailable. */
export class LeaseStore {
  readonly #redis: Redis;
  readonly #self: string;
  readonly #channel: string;

  constructor(redis: Redis, self: string) {
    this.#redis = redis;
    this.#self = self;
    this.#channel = redis.key("leases");
  }

  async acquire({ digest, token }: Claim, breaking = ""): Promise<Granting> {
    const args = [token, this.#self, breaking, limits.ttlMs, limits.fenceTtlMs, this.#channel, digest];
    return granting(await this.#redis.run(acquireScript, [this.#lock(digest), this.#fence(digest)], args));
  }

  /** False = somebody else has it. */
  async renew({ digest, token }: Claim, attempt: number, bytes: number): Promise<boolean> {
    const args = [token, this.#self, attempt, bytes, limits.ttlMs];
    return (await this.#redis.run(renewScript, [this.#lock(digest)], args)) === 1;
  }

  async release({ digest, token }: Claim): Promise<void> {
    await this.#redis.run(releaseScript, [this.#lock(digest)], [token, this.#channel, digest]);
  }

  /** Calls with the digest of a lease that has changed hands. */
  onChange(listener: (digest: string) => void): void {
    this.#redis.subscribe(this.#channel, listener);
  }

  #lock(digest: Digest): string {
    return this.#redis.key(`{d:${digest}}:lock`);
  }

  #fence(digest: Digest): string {
    return this.#redis.key(`{d:${digest}}:fence`);
  }
}

const count = (cell: unknown): number => {
  const value = Number(cell);
  return Number.isSafeInteger(value) && value >= 0 ? value : 0;
};

/** Whoever writes to Redis may be hostile; what a holder's name is worth is for the list of members to say. */
function granting(reply: unknown): Granting {
  const [state, first, holder, bytes] = (Array.isArray(reply) ? reply : []) as unknown[];
  if (state === "held") return { state, token: String(first), holder: String(holder), bytes: count(bytes) };
  if (state === "acquired" || state === "mine" || state === "taken_over") return { state, attempt: count(first) };
  throw new TypeError("an answer of Redis that is none of the script's");
}
