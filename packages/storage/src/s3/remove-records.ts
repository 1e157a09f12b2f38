import type { Repository } from "@pullring/core";

import { recordsOf } from "../record-path.ts";
import type { Keys } from "./keys.ts";
import { limits } from "./limits.ts";
import type { Objects } from "./objects.ts";

interface Bucket {
  readonly keys: Keys;
  readonly objects: Objects;
}

/** Removes the records of a repository that were written by then. Rejects with S3Error; what went until then is gone. */
export async function removeRecords(
  { keys, objects }: Bucket,
  repository: Repository,
  beforeMs: number,
): Promise<void> {
  const remove = async (batch: string[]): Promise<void> =>
    void (await Promise.all(batch.splice(0).map((key) => objects.remove(key))));
  for (const kind of ["tag", "list", "link"] as const) {
    const batch: string[] = [];
    for await (const { key, modifiedAt } of objects.list(keys.records + recordsOf(repository, kind))) {
      if (modifiedAt > beforeMs + limits.clockSkewMs) continue;
      batch.push(key);
      if (batch.length >= limits.removingMax) await remove(batch);
    }
    await remove(batch);
  }
}
