import type { Digest } from "@pullring/oci";

import { limits } from "./limits.ts";
import type { Clock } from "./ports.ts";
import { makeRecent } from "./recent.ts";

/** Which digests of other owners this node forwards so often that it had better keep them itself. */
export interface Hot {
  forwarded(digest: Digest): void;
  isHot(digest: Digest): boolean;
}

export function makeHot(clock: Clock): Hot {
  const times = makeRecent<readonly number[]>(clock, { ttlMs: limits.hotMs, entriesMax: limits.negativesMax });
  const recent = (digest: Digest): readonly number[] =>
    (times.get(digest) ?? []).filter((atMs) => clock.monotonic() - atMs < limits.hotMs);
  return {
    forwarded: (digest) => times.set(digest, [...recent(digest), clock.monotonic()].slice(-limits.hotForwardsMin)),
    isHot: (digest) => recent(digest).length >= limits.hotForwardsMin,
  };
}
