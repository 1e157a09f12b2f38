import type { PurgeOrder } from "./cluster-ports.ts";
import type { Fills } from "./fills.ts";
import { repositoryKey, type BlobStore } from "./ports.ts";
import { tagKey, type Tags } from "./tags.ts";
import type { Tombstones } from "./tombstones.ts";

export interface PurgeParts {
  readonly store: BlobStore;
  readonly fills: Fills;
  readonly tags: Tags;
  readonly tombstones: Tombstones;
}

/**
 * Takes away what this node has of it, and remembers that it is to stay away: what was fetched before the order, here or by a fill that
 * still runs, is not published after it.
 */
export async function purge({ store, fills, tags, tombstones }: PurgeParts, order: PurgeOrder): Promise<void> {
  const { repository, tag, digest } = order;
  entomb(tombstones, order);
  if (digest !== undefined) {
    await fills.forget(digest);
    await store.remove(digest);
  } else if (repository && tag !== undefined) await tags.forget(repository, tag);
}

/** Only remembers it: what came since stays. */
export function entomb(tombstones: Tombstones, { repository, tag, digest, atMs }: PurgeOrder): void {
  if (digest !== undefined) tombstones.put(digest, atMs);
  else if (repository) tombstones.put(tag === undefined ? repositoryKey(repository) : tagKey(repository, tag), atMs);
}
