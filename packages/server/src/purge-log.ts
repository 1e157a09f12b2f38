import type { Clock, PurgeOrder } from "@pullring/core";

import type { KeptFile } from "./kept-file.ts";
import type { Log } from "./observe/log.ts";
import { purgeKey, purgeOrderOf } from "./purge-key.ts";

/** As long as word of a purge is left in Redis and in S3. */
const keptMs = 7 * 86_400_000;
const entriesMax = 10_000;
/** Word that comes by another way tells the time of a purge by other clocks. */
const toleranceMs = 10_000;

/**
 * What this node has purged, so that word of it, which comes by several ways and again after every start, takes away nothing that was
 * fetched since.
 */
export interface PurgeLog {
  /** Carries out what somebody orders now. Rejects as `carryOut` does; then it counts as not done. */
  run(order: PurgeOrder): Promise<void>;
  /** Obeys word that was left of an order, unless that was done. */
  obey(order: PurgeOrder): Promise<void>;
}

export interface PurgeLogOptions {
  readonly file: KeptFile;
  readonly clock: Clock;
  readonly log: Pick<Log, "warn">;
  readonly carryOut: (order: PurgeOrder) => Promise<void>;
  /** Told at the start of every purge that was carried out before. */
  readonly recall: (order: PurgeOrder) => void;
}

export async function openPurgeLog({ file, clock, log, carryOut, recall }: PurgeLogOptions): Promise<PurgeLog> {
  const done = new Map(entriesOf(await file.load().catch(() => undefined)));
  for (const [key, atMs] of done) {
    const order = purgeOrderOf(key, atMs);
    if (order) recall(order);
  }
  let saving: Promise<void> | undefined;
  let isStale = false;

  /** The newest state, once for all that changed meanwhile. */
  async function save(): Promise<void> {
    while (isStale) {
      isStale = false;
      await file.save([...done]).catch((error: unknown) => {
        log.warn({ err: error }, "what was purged can't be kept; word of it will be obeyed again after a restart");
      });
    }
    saving = undefined;
  }

  function remember(key: string, atMs: number): void {
    done.delete(key);
    done.set(key, atMs);
    const oldestMs = clock.now() - keptMs;
    for (const [each, at] of done) {
      if (at >= oldestMs && done.size <= entriesMax) break;
      done.delete(each);
    }
    isStale = true;
    saving ??= save();
  }

  async function run(order: PurgeOrder): Promise<void> {
    await carryOut(order);
    remember(purgeKey(order), order.atMs);
  }

  return {
    run,
    async obey(order) {
      if (order.atMs > (done.get(purgeKey(order)) ?? -Infinity) + toleranceMs) await run(order);
    },
  };
}

function entriesOf(found: unknown): [string, number][] {
  if (!Array.isArray(found)) return [];
  return found.filter(
    (entry): entry is [string, number] =>
      Array.isArray(entry) && typeof entry[0] === "string" && typeof entry[1] === "number",
  );
}
