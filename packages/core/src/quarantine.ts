import type { Digest } from "@pullring/oci";

import type { SharedBlobs } from "./cluster-ports.ts";
import { limits } from "./limits.ts";
import type { Observe } from "./observe.ts";
import { nameOf, type Place } from "./places.ts";
import type { Clock, Repository } from "./ports.ts";
import { makeRecent } from "./recent.ts";

interface Wanted {
  readonly repository: Repository;
  readonly digest: Digest;
}

/** Which place sent wrong bytes for which digest: it is not asked for that digest for a while. */
export interface Quarantine {
  has(place: Place, wanted: Wanted): boolean;
  put(place: Place, wanted: Wanted, detail: string): void;
}

export interface QuarantineOptions {
  readonly clock: Clock;
  readonly observe: Observe;
  readonly shared?: SharedBlobs | undefined;
}

export function makeQuarantine({ clock, observe, shared }: QuarantineOptions): Quarantine {
  const held = makeRecent<true>(clock, { ttlMs: limits.quarantineMs, entriesMax: limits.negativesMax });
  const keyOf = (place: Place, { repository, digest }: Wanted): string =>
    `${nameOf(place, repository.upstream)} ${digest}`;

  return {
    has: (place, wanted) => held.get(keyOf(place, wanted)) === true,
    put(place, wanted, detail) {
      const { repository, digest } = wanted;
      const { upstream } = repository;
      held.set(keyOf(place, wanted), true);
      if (place.tier === "s3") shared?.quarantine(digest);
      observe({ kind: "mismatch", source: place.tier, from: nameOf(place, upstream), upstream, digest, detail });
    },
  };
}
