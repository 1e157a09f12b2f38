import type { NodeId } from "@pullring/core";
import type { RedisLeasesOptions } from "@pullring/cluster";

import { acquireScript, releaseScript, renewScript } from "../../packages/cluster/src/lease/scripts.ts";
import { RedisUnavailable } from "../../packages/cluster/src/redis/unavailable.ts";
import type { SimProcess } from "./sim-process.ts";
import type { World } from "./world.ts";

type Redis = RedisLeasesOptions["redis"];

interface Row {
  readonly token: string;
  readonly node: string;
  readonly attempt: number;
  readonly bytes: number;
  endsAtMs: number;
}

/** The scripts of the leases, without a Redis; all nodes see one table. */
export interface SimRedis {
  of(node: NodeId, process: SimProcess): Redis;
  /** How many faults keep everybody from it. */
  downs: number;
  /** How many make it lose replies. */
  losses: number;
  readonly cutOff: Set<NodeId>;
  wipe(): void;
  /** Who has the lease of the digest. */
  holder(digest: string): NodeId | undefined;
  /** Leases that stand. */
  rows(): readonly string[];
}

/** As the client's own bound. */
const commandMs = 250;

export function makeSimRedis(world: World): SimRedis {
  const { clock, random, plan, note, reached } = world;
  const rows = new Map<string, Row>();
  const attempts = new Map<string, number>();
  const arrivals = new WeakMap<SimProcess, Promise<unknown>>();
  const listeners = new Set<{ process: SimProcess; tell: (digest: string) => void }>();

  const held = (key: string): Row | undefined => {
    const row = rows.get(key);
    return row && row.endsAtMs > clock.monotonic() ? row : undefined;
  };

  function publish(digest: string): void {
    if (!plan.hasHints || redis.downs > 0) return;
    for (const { process, tell } of listeners)
      void world.hop().then(async () => {
        await process.running();
        tell(digest);
      });
  }

  function acquire(keys: readonly string[], args: readonly string[]): unknown {
    const [lock = "", fence = ""] = keys;
    const [token = "", node = "", breaking, ttlMs, , , digest = ""] = args;
    const row = held(lock);
    if (row?.token === token) {
      row.endsAtMs = clock.monotonic() + Number(ttlMs);
      return ["mine", row.attempt];
    }
    if (row && row.token !== breaking) return ["held", row.token, row.node, row.bytes];
    const attempt = (attempts.get(fence) ?? 0) + 1;
    attempts.set(fence, attempt);
    rows.set(lock, { token, node, attempt, bytes: 0, endsAtMs: clock.monotonic() + Number(ttlMs) });
    note(`${node} has the lease of ${digest.slice(7, 15)}, attempt ${attempt}${row ? `, taken from ${row.node}` : ""}`);
    if (!row) return ["acquired", attempt];
    reached("takeover");
    publish(digest);
    return ["taken_over", attempt];
  }

  function renew(keys: readonly string[], args: readonly string[]): unknown {
    const [lock = ""] = keys;
    const [token = "", node = "", attempt, bytes, ttlMs] = args;
    const row = held(lock);
    if (row && row.token !== token) return 0;
    const endsAtMs = clock.monotonic() + Number(ttlMs);
    rows.set(lock, { token, node, attempt: Number(attempt), bytes: Number(bytes), endsAtMs });
    return 1;
  }

  function release(keys: readonly string[], args: readonly string[]): unknown {
    const [lock = ""] = keys;
    const [token = "", , digest = ""] = args;
    if (held(lock)?.token !== token) return 0;
    rows.delete(lock);
    publish(digest);
    return 1;
  }

  const scripts = new Map([
    [acquireScript, acquire],
    [renewScript, renew],
    [releaseScript, release],
  ]);

  async function lost(mayHaveRun: boolean): Promise<never> {
    await clock.sleep(commandMs);
    throw new RedisUnavailable("no answer", { mayHaveRun });
  }

  const redis: SimRedis = {
    downs: 0,
    losses: 0,
    cutOff: new Set(),
    wipe() {
      rows.clear();
      attempts.clear();
    },
    holder: (digest) => held(`{d:${digest}}:lock`)?.node,
    rows: () => [...rows.keys()].filter(held),
    of: (node, process) => ({
      key: (suffix) => suffix,
      run: (script, keys, args) =>
        process.run(async () => {
          if (redis.downs > 0 || redis.cutOff.has(node)) return lost(random.next() < 0.5);
          // One connection: commands arrive in the order in which they were sent.
          const arrived = Promise.all([world.hop(), arrivals.get(process)]);
          arrivals.set(process, arrived);
          await arrived;
          const answer = scripts.get(script)?.(keys, args.map(String));
          if (redis.losses > 0 && random.next() < 0.5) {
            reached("redis lost a reply");
            return lost(true);
          }
          await world.hop();
          return answer;
        }),
      subscribe(_channel, tell) {
        const listener = { process, tell };
        listeners.add(listener);
        return () => void listeners.delete(listener);
      },
      state: () => ({ up: true }),
      warnings: () => [],
      close: () => Promise.resolve(),
    }),
  };
  return redis;
}
