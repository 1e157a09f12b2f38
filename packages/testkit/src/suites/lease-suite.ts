import assert from "node:assert/strict";
import { describe, test } from "node:test";

import type { Lease, LeaseAnswer, Leases } from "@pullring/core";
import type { Digest } from "@pullring/oci";

import { eventually } from "../assert.ts";
import { sampleBytes, sampleDigest } from "./sample.ts";

/** Leases of several nodes in one place that nobody else uses. */
export interface LeaseRig {
  of(node: string): Leases;
  /** Moves the time of all nodes on, so that leases are renewed or run out. */
  advance(ms: number): Promise<void>;
  close(): Promise<void>;
}

export interface LeaseSuiteOptions {
  readonly name: string;
  readonly open: () => Promise<LeaseRig>;
  /** How long a lease stands without renewal, and a time within which each is renewed at least once. */
  readonly ttlMs: number;
  readonly renewedWithinMs: number;
}

type Acquired = Extract<LeaseAnswer, { state: "acquired" }>;
type Held = Extract<LeaseAnswer, { state: "held" }>;

function acquired(answer: LeaseAnswer): Acquired {
  assert.equal(answer.state, "acquired", JSON.stringify(answer));
  return answer;
}

function held(answer: LeaseAnswer): Held {
  assert.equal(answer.state, "held", JSON.stringify(answer));
  return answer;
}

const isPending = async (promise: Promise<unknown>): Promise<boolean> => {
  const pending = Symbol("pending");
  return (await Promise.race([promise, Promise.resolve(pending)])) === pending;
};

/** What every Leases keeps to. */
export function leaseSuite({ name, open, ttlMs, renewedWithinMs }: LeaseSuiteOptions): void {
  let count = 0;
  const check = (promise: string, run: (rig: LeaseRig, digest: Digest) => Promise<void>): void => {
    const salt = (count += 1);
    test(promise, async () => {
      const rig = await open();
      try {
        await run(rig, sampleDigest(sampleBytes(64 + salt)));
      } finally {
        await rig.close();
      }
    });
  };

  describe(`leases: ${name}`, () => {
    check("one node gets a lease, and the others learn who has it", async (rig, digest) => {
      const answers = await Promise.all(["n1", "n2", "n3"].map((node) => rig.of(node).acquire(digest)));
      const states = answers.map(({ state }) => state).sort();
      assert.deepEqual(states, ["acquired", "held", "held"]);
      const winner = `n${answers.findIndex(({ state }) => state === "acquired") + 1}`;
      for (const answer of answers) if (answer.state === "held") assert.equal(answer.holder, winner);
    });

    check("leases of different digests have nothing to do with each other", async (rig, digest) => {
      acquired(await rig.of("n1").acquire(digest));
      acquired(await rig.of("n2").acquire(sampleDigest(sampleBytes(3_000))));
    });

    check("a second call of the holder finds its own lease", async (rig, digest) => {
      const leases = rig.of("n1");
      const [first, second] = (await Promise.all([leases.acquire(digest), leases.acquire(digest)])).map(acquired);
      assert.equal(first?.lease, second?.lease);
      assert.equal(first?.attempt, second?.attempt);
    });

    check(
      "a lease that is given back can be had, and giving it back again takes it from nobody",
      async (rig, digest) => {
        const first = acquired(await rig.of("n1").acquire(digest));
        await first.lease.release();
        const second = acquired(await rig.of("n2").acquire(digest));
        assert.ok(second.attempt > first.attempt);
        await first.lease.release();
        assert.equal(held(await rig.of("n1").acquire(digest)).holder, "n2");
        assert.equal(second.lease.lost, false);
      },
    );

    check("a waiter is told when the lease is given back", async (rig, digest) => {
      const { lease } = acquired(await rig.of("n1").acquire(digest));
      const waiting = rig.of("n2").changed(digest, 3_600_000);
      // A message may be lost, above all before the waiter's connection for messages stands; the next one reaches it.
      await eventually(async () => {
        await lease.release();
        const again = await rig.of("n1").acquire(digest);
        if (again.state === "acquired") await again.lease.release();
        return !(await isPending(waiting));
      });
    });

    check("a waiter looks again after its time at the latest", async (rig, digest) => {
      const waiting = rig.of("n2").changed(digest, 1_000);
      await rig.advance(900);
      assert.equal(await isPending(waiting), true);
      await rig.advance(200);
      await waiting;
    });

    check("a waiter that gives up is let go without an error", async (rig, digest) => {
      const leaving = new AbortController();
      const waiting = rig.of("n2").changed(digest, 3_600_000, leaving.signal);
      leaving.abort();
      await waiting;
      await rig.of("n2").changed(digest, 3_600_000, leaving.signal);
    });

    check("a holder that is stuck is superseded by who names its token", async (rig, digest) => {
      const stuck = acquired(await rig.of("n1").acquire(digest));
      const { token } = held(await rig.of("n2").acquire(digest));
      const next = acquired(await rig.of("n2").acquire(digest, token));
      assert.ok(next.attempt > stuck.attempt);
      assert.equal(held(await rig.of("n3").acquire(digest)).holder, "n2");
      await rig.advance(renewedWithinMs);
      await eventually(() => stuck.lease.lost);
      await stuck.lease.release();
      assert.equal(held(await rig.of("n3").acquire(digest)).holder, "n2");
    });

    check("of two that supersede the same holder one wins", async (rig, digest) => {
      acquired(await rig.of("n1").acquire(digest));
      const { token } = held(await rig.of("n2").acquire(digest));
      const answers = await Promise.all(["n2", "n3"].map((node) => rig.of(node).acquire(digest, token)));
      assert.deepEqual(answers.map(({ state }) => state).sort(), ["acquired", "held"]);
    });

    check("a token of long ago supersedes nobody", async (rig, digest) => {
      const first = acquired(await rig.of("n1").acquire(digest));
      const { token } = held(await rig.of("n2").acquire(digest));
      await first.lease.release();
      acquired(await rig.of("n3").acquire(digest));
      assert.equal(held(await rig.of("n2").acquire(digest, token)).holder, "n3");
    });

    check(
      "waiters see how far the holder has come, and a lease outlives its term while it is renewed",
      async (rig, digest) => {
        const { lease } = acquired(await rig.of("n1").acquire(digest));
        assert.equal(held(await rig.of("n2").acquire(digest)).bytes, 0);
        for (let passedMs = 0, bytes = 1_000; passedMs < 2 * ttlMs; passedMs += renewedWithinMs, bytes += 1_000) {
          lease.progress(bytes);
          await rig.advance(renewedWithinMs);
          await eventually(async () => held(await rig.of("n2").acquire(digest)).bytes === bytes);
          assert.equal(lease.lost, false);
        }
        await settled(lease, rig, digest);
      },
    );
  });

  async function settled(lease: Lease, rig: LeaseRig, digest: Digest): Promise<void> {
    await lease.release();
    acquired(await rig.of("n2").acquire(digest));
  }
}
