import type { NodeId } from "@pullring/core";
import { makeRing, type Ring } from "@pullring/hash-ring";

/** Rings by who is in them; made once for all runs. */
export interface Rings {
  successors(members: readonly NodeId[], key: string): readonly NodeId[];
}

export function makeRings(): Rings {
  const rings = new Map<string, Ring>();
  return {
    successors(members, key) {
      const ids = [...members].sort();
      const known = rings.get(ids.join(" "));
      const ring = known ?? makeRing(ids.map((id) => ({ id, ringName: `${id}:5000`, weight: 1 })));
      if (!known) rings.set(ids.join(" "), ring);
      return ring.successors(key);
    },
  };
}
