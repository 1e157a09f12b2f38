import assert from "node:assert/strict";
import { test } from "node:test";

import type { LeaseAnswer } from "@pullring/core";
import { parseDigest } from "@pullring/oci";
import { eventually, type VirtualClock, virtualClock } from "@pullring/testkit";

import { makeRedisLeases } from "./redis-leases.ts";
import { acquireScript, releaseScript, renewScript } from "./scripts.ts";
import { leaseLimits as limits } from "../limits.ts";
import { type Redis, RedisUnavailable, type Script } from "../redis/index.ts";

const digest = parseDigest(`sha256:${"a".repeat(64)}`);

interface Row {
  token: string;
  node: string;
  bytes: number;
  endsAtMs: number;
}

/** The lease scripts over one row, by a clock of its own; what it answers may be lost, and it may be away. */
class ScriptedStore implements Pick<Redis, "run" | "key" | "subscribe"> {
  readonly clock: VirtualClock;
  readonly asked: string[] = [];
  /** `lost`: it does what it is asked, and nobody learns of it. */
  mode: "there" | "lost" | "away" = "there";
  row: Row | undefined;
  attempts = 0;
  /** Answers as it stands, if it is there. */
  forged: unknown;

  constructor(clock: VirtualClock) {
    this.clock = clock;
  }

  key(suffix: string): string {
    return suffix;
  }

  subscribe(): () => void {
    return () => {};
  }

  run(script: Script, _keys: readonly string[], args: readonly (string | number)[]): Promise<unknown> {
    if (this.mode === "away") return Promise.reject(new RedisUnavailable("away"));
    const answer = this.forged ?? this.#execute(script, args);
    if (this.mode === "lost") return Promise.reject(new RedisUnavailable("lost", { mayHaveRun: true }));
    return Promise.resolve(answer);
  }

  wipe(): void {
    this.row = undefined;
  }

  #execute(script: Script, args: readonly (string | number)[]): unknown {
    if (this.row && this.row.endsAtMs <= this.clock.monotonic()) this.row = undefined;
    const [token = "", node = "", third = "", bytes = 0] = args;
    const endsAtMs = this.clock.monotonic() + limits.ttlMs;
    const own = this.row?.token === token;
    if (script === releaseScript) {
      this.asked.push("release");
      if (own) this.row = undefined;
      return own ? 1 : 0;
    }
    if (script === renewScript) {
      this.asked.push("renew");
      if (this.row && !own) return 0;
      this.row = { token: String(token), node: String(node), bytes: Number(bytes), endsAtMs };
      return 1;
    }
    assert.equal(script, acquireScript);
    this.asked.push("acquire");
    if (this.row && own) return ["mine", String(this.attempts)];
    if (this.row && this.row.token !== third) return ["held", this.row.token, this.row.node, String(this.row.bytes)];
    const state = this.row ? "taken_over" : "acquired";
    this.row = { token: String(token), node: String(node), bytes: 0, endsAtMs };
    return [state, (this.attempts += 1)];
  }
}

function rig(clock = virtualClock(), store = new ScriptedStore(clock), self = "n1") {
  const outcomes: string[] = [];
  const redis: Redis = Object.assign(store, {
    state: () => ({ up: true }),
    warnings: () => [],
    close: () => Promise.resolve(),
  });
  const leases = makeRedisLeases({
    redis,
    self,
    clock,
    random: () => 0.5,
    log: { warn: () => {} },
    observe: ({ outcome }) => void outcomes.push(outcome),
  });
  return { clock, store, leases, outcomes };
}

function leaseOf(answer: LeaseAnswer): Extract<LeaseAnswer, { state: "acquired" }>["lease"] {
  assert.equal(answer.state, "acquired");
  return answer.lease;
}

test("an answer that was lost is asked for again under the same token, and the lease found to be ours", async () => {
  const { store, leases, outcomes } = rig();
  store.mode = "lost";
  const asking = leases.acquire(digest);
  // The first answer is on its way by now, and the second will arrive.
  await Promise.resolve();
  store.mode = "there";
  const lease = leaseOf(await asking);
  assert.deepEqual(store.asked, ["acquire", "acquire"]);
  assert.deepEqual(outcomes, ["mine"]);
  assert.equal(store.attempts, 1);
  await lease.release();
  assert.equal(store.row, undefined);
});

test("when both answers are lost the next call finds its own lease, and does not wait for its own end", async () => {
  const { store, leases, outcomes } = rig();
  store.mode = "lost";
  assert.deepEqual(await leases.acquire(digest), { state: "unavailable" });
  assert.equal(store.asked.length, 2);
  const token = store.row?.token;
  assert.match(token ?? "", /^[\da-f]{32}$/);
  store.mode = "away";
  assert.deepEqual(await leases.acquire(digest), { state: "unavailable" });
  store.mode = "there";
  leaseOf(await leases.acquire(digest));
  assert.equal(store.row?.token, token);
  assert.deepEqual(outcomes, ["unavailable", "unavailable", "mine"]);
});

test("a lease that nobody knows of does not linger", async () => {
  const { clock, store, leases } = rig();
  store.mode = "lost";
  await leases.acquire(digest);
  store.mode = "away";
  await clock.advance(3 * limits.strayRoundMs);
  assert.ok(store.row);
  store.mode = "there";
  await clock.advance(limits.strayRoundMs);
  assert.equal(store.row, undefined);
  await clock.advance(limits.ttlMs);
  assert.equal(clock.pending, 0);
});

test("a lease that was taken up again is not given back behind its holder's back", async () => {
  const { clock, store, leases } = rig();
  store.mode = "lost";
  await leases.acquire(digest);
  store.mode = "there";
  const lease = leaseOf(await leases.acquire(digest));
  await clock.advance(2 * limits.strayRoundMs);
  assert.ok(store.row);
  assert.equal(store.asked.includes("release"), false);
  await lease.release();
});

test("a release that Redis did not hear is repeated until it does", async () => {
  const { clock, store, leases } = rig();
  const lease = leaseOf(await leases.acquire(digest));
  store.mode = "away";
  await lease.release();
  assert.ok(store.row);
  store.mode = "there";
  await clock.advance(limits.strayRoundMs);
  assert.equal(store.row, undefined);
});

test("without Redis the answer is unavailable, after one attempt", async () => {
  const { store, leases, outcomes } = rig();
  store.mode = "away";
  assert.deepEqual(await leases.acquire(digest), { state: "unavailable" });
  assert.deepEqual(outcomes, ["unavailable"]);
});

test("a node that was started anew supersedes the lease of its own past", async () => {
  const before = rig();
  leaseOf(await before.leases.acquire(digest));
  const after = rig(before.clock, before.store);
  leaseOf(await after.leases.acquire(digest));
  assert.deepEqual(after.outcomes, ["taken_over"]);
  await before.clock.advance(limits.renewMs);
  assert.deepEqual(before.outcomes, ["acquired", "lost"]);
});

test("without renewals a lease is lost when it may have run out, counted from when it was asked for; told once", async () => {
  const { clock, store, leases, outcomes } = rig();
  const lease = leaseOf(await leases.acquire(digest));
  store.mode = "away";
  await clock.advance(limits.ttlMs - 1);
  assert.equal(lease.lost, false);
  await clock.advance(1);
  assert.equal(lease.lost, true);
  await clock.advance(5 * limits.renewRetryMs);
  assert.deepEqual(outcomes, ["acquired", "lost"]);
  await lease.release();
});

test("a lease that ran out or was wiped while Redis was away is set up again, if nobody else took it", async () => {
  const { clock, store, leases } = rig();
  const lease = leaseOf(await leases.acquire(digest));
  lease.progress(1_234);
  store.mode = "away";
  await clock.advance(2 * limits.ttlMs);
  store.mode = "there";
  await clock.advance(limits.renewRetryMs * 1.1);
  assert.equal(lease.lost, false);
  assert.equal(store.row?.bytes, 1_234);
  store.wipe();
  await clock.advance(limits.renewMs);
  assert.equal(store.row?.node, "n1");
  await lease.release();
});

test("a lease that somebody else took in the meantime is lost for good, and left alone", async () => {
  const { clock, store, leases } = rig();
  const lease = leaseOf(await leases.acquire(digest));
  store.mode = "away";
  await clock.advance(limits.ttlMs);
  store.mode = "there";
  const other = rig(clock, store, "n2");
  const others = leaseOf(await other.leases.acquire(digest));
  await clock.advance(2 * limits.renewMs);
  assert.equal(lease.lost, true);
  await lease.release();
  assert.equal(store.row?.node, "n2");
  const answer = await leases.acquire(digest);
  assert.equal(answer.state === "held" && answer.holder, "n2");
  await others.release();
});

test("after a release nothing is renewed", async () => {
  const { clock, store, leases } = rig();
  const lease = leaseOf(await leases.acquire(digest));
  await Promise.all([lease.release(), lease.release()]);
  await clock.advance(3 * limits.renewMs);
  assert.deepEqual(store.asked, ["acquire", "release"]);
  await eventually(() => clock.pending === 0);
});

test("what no script of ours answers is no lease", async () => {
  for (const forged of [42, [], ["maybe"], "acquired", { state: "acquired" }]) {
    const { store, leases } = rig();
    store.forged = forged;
    assert.deepEqual(await leases.acquire(digest), { state: "unavailable" });
  }
  const { store, leases } = rig();
  store.forged = ["held", "token", "n9", "-1e9"];
  assert.deepEqual(await leases.acquire(digest), { state: "held", token: "token", holder: "n9", bytes: 0 });
});
