import { parseManifest, type Descriptor, type Digest } from "@pullring/oci";

import { globMatcher } from "./glob.ts";
import { repositoryKey, type BlobStore, type Repository } from "./ports.ts";

/** Which digests eviction must leave alone: all that a pinned tag names, as far as its manifests are held. */
export interface Pins {
  isPinned(digest: Digest): boolean;
  /** A tag points at this digest now; what it pinned before is let go. */
  moved(repository: Repository, tag: string, digest: Digest): Promise<void>;
  /** A manifest has come in; if it is pinned, so is what it names. */
  learn(digest: Digest, named: readonly Descriptor[]): void;
}

export function makePins(patterns: readonly string[], store: BlobStore): Pins {
  const matchers = patterns.map(globMatcher);
  const byTag = new Map<string, Set<Digest>>();

  function learn(digest: Digest, named: readonly Descriptor[]): void {
    for (const pinned of byTag.values()) {
      if (pinned.has(digest)) for (const descriptor of named) pinned.add(descriptor.digest);
    }
  }

  return {
    isPinned: (digest) => [...byTag.values()].some((pinned) => pinned.has(digest)),
    async moved(repository, tag, digest) {
      const key = `${repositoryKey(repository)}:${tag}`;
      if (!matchers.some((matches) => matches(key))) return;
      const pinned = new Set([digest]);
      byTag.set(key, pinned);
      // The set grows while it is walked: a Set's iteration reaches what is added meanwhile, each digest once.
      for (const next of pinned) {
        const stored = await store.read(next);
        const named = (stored && parseManifest(stored.bytes)?.descriptors) ?? [];
        for (const descriptor of named) pinned.add(descriptor.digest);
      }
    },
    learn,
  };
}
