import type { Clock } from "@pullring/core";

import type { BeatStore } from "./beat-store.ts";
import type { LastRingStore } from "./last-ring.ts";
import type { Membership, MembershipOptions } from "./membership.ts";
import { openMembership } from "./open-membership.ts";

interface World {
  readonly clock: Clock & { advance(ms: number): Promise<void> };
  /** Redis, as one node reaches it. */
  readonly beatsOf: (id: string) => BeatStore;
}

export interface TestMembers {
  /** Opens a membership and makes it active; `incarnation` is its id and the number of its start unless told. */
  readonly join: (id: string, more?: Partial<MembershipOptions>) => Promise<Membership>;
  /** As `join`, without becoming active. */
  readonly open: (id: string, more?: Partial<MembershipOptions>) => Promise<Membership>;
  /** Moves the clock until the promise has settled. */
  readonly until: <T>(promise: Promise<T>) => Promise<T>;
  /** Moves the clock until it is so, and returns how long that took. */
  readonly untilTrue: (isSo: () => boolean) => Promise<number>;
  readonly logged: string[];
  /** Incarnations whose process answers. */
  readonly answering: Set<string>;
  readonly probed: string[];
  /** Ids of nodes that say that they live, when they were left out. */
  readonly greeting: Set<string>;
  readonly close: () => Promise<void>;
}

export const urlOf = (id: string): string => `http://${id}:5002`;
const stepMs = 50;
const patienceMs = 120_000;

export function testMembers({ clock, beatsOf }: World): TestMembers {
  const logged: string[] = [];
  const answering = new Set<string>();
  const probed: string[] = [];
  const greeting = new Set<string>();
  const opened: Membership[] = [];
  let starts = 0;
  const random = repeatable();
  const line = (level: string) => (facts: Record<string, unknown>, message: string) =>
    void logged.push(`${level} ${message} ${JSON.stringify(facts)}`);

  const { until, untilTrue } = patience(clock);

  async function open(id: string, more: Partial<MembershipOptions> = {}): Promise<Membership> {
    starts += 1;
    const options: MembershipOptions = {
      self: {
        id,
        url: urlOf(id),
        ringName: `${id}:5000`,
        weight: 1,
        incarnation: `${id}-start-${starts}`,
        version: "1",
      },
      source: { beats: beatsOf(id) },
      clock,
      random,
      log: { info: line("info"), warn: line("warn"), error: line("error") },
      answers(_url, incarnation) {
        probed.push(incarnation);
        return Promise.resolve(answering.has(incarnation));
      },
      greet: (_url, node) => (greeting.has(node) ? Promise.resolve() : Promise.reject(new Error(`${node} is silent`))),
      mayDial: () => true,
      ...more,
    };
    const membership = await until(openMembership(options));
    opened.push(membership);
    return membership;
  }

  return {
    open,
    async join(id, more) {
      const membership = await open(id, more);
      await until(membership.activate());
      return membership;
    },
    until,
    untilTrue,
    logged,
    answering,
    probed,
    greeting,
    async close() {
      await until(Promise.all(opened.map((membership) => membership.close())));
    },
  };
}

function patience(clock: World["clock"]): Pick<TestMembers, "until" | "untilTrue"> {
  async function until<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false;
    const end = (): void => void (isSettled = true);
    promise.then(end, end);
    await untilTrue(() => isSettled);
    return await promise;
  }

  async function untilTrue(isSo: () => boolean): Promise<number> {
    const startedMs = clock.monotonic();
    await clock.advance(0);
    while (!isSo()) {
      if (clock.monotonic() - startedMs > patienceMs) throw new Error("this never comes");
      await clock.advance(stepMs);
    }
    return clock.monotonic() - startedMs;
  }

  return { until, untilTrue };
}

/** A linear congruential generator (Numerical Recipes' constants): the same run each time. */
function repeatable(): () => number {
  let seed = 1;
  return () => (seed = (seed * 1_664_525 + 1_013_904_223) % 2 ** 32) / 2 ** 32;
}

/** Ids in the ring, as one node sees it. */
export const ringOf = (membership: Membership): string =>
  membership
    .ring()
    .members.map(({ id }) => id)
    .sort()
    .join(" ");

export interface MemoryDisk extends LastRingStore {
  value: unknown;
}

export function memoryDisk(value?: unknown): MemoryDisk {
  const disk: MemoryDisk = {
    value,
    load: () => Promise.resolve(disk.value),
    save(saved) {
      disk.value = structuredClone(saved);
      return Promise.resolve();
    },
  };
  return disk;
}
