import { randomUUID } from "node:crypto";

import type { Clock } from "@pullring/core";
import type { Digest } from "@pullring/oci";

import type { Keys } from "./keys.ts";
import type { KeptSet } from "./kept-set.ts";
import { limits } from "./limits.ts";
import type { Objects } from "./objects.ts";

/**
 * When which blob was last asked for, as exactly as a clean-up after days needs it: each node notes once a day per digest that it was
 * in use, and writes its notes together once an hour.
 */
export interface Used {
  note(digest: Digest): void;
  /** Writes what was noted. */
  flush(): Promise<void>;
  /** Adds what was in use since then, and removes older notes. */
  collect(kept: KeptSet, sinceMs: number): Promise<void>;
}

export function makeUsed({ keys, objects, clock }: { keys: Keys; objects: Objects; clock: Clock }): Used {
  const noted = { day: "", digests: new Set<Digest>() };
  let unwritten: Digest[] = [];

  return {
    note(digest) {
      const day = dayOf(clock.now());
      if (noted.day !== day) Object.assign(noted, { day, digests: new Set() });
      if (noted.digests.has(digest) || noted.digests.size >= limits.usedNotedMax) return;
      noted.digests.add(digest);
      if (unwritten.length < limits.usedNotedMax) unwritten.push(digest);
    },
    async flush() {
      if (unwritten.length === 0) return;
      const lines = unwritten;
      unwritten = [];
      try {
        await objects.write(`${keys.used}${dayOf(clock.now())}/${randomUUID()}`, lines.join("\n"));
      } catch (error) {
        unwritten = [...lines, ...unwritten].slice(0, limits.usedNotedMax);
        throw error;
      }
    },
    async collect(kept, sinceMs) {
      // A note is dated by its writing, up to an hour after the use: the day before counts too.
      const since = dayOf(sinceMs - limits.dayMs);
      for await (const { key } of objects.list(keys.used)) {
        const day = key.slice(keys.used.length).split("/")[0] ?? "";
        if (day < since) await objects.remove(key);
        else kept.addLines(String(await objects.read(key)));
      }
    },
  };
}

const dayOf = (ms: number): string => new Date(ms).toISOString().slice(0, 10);
