import { makeRing } from "@pullring/hash-ring";

import { AdminProblem } from "./admin-problem.ts";
import type { Drainer, RingView } from "./ports.ts";

interface Self {
  readonly id: string;
  readonly ringName: string;
  readonly weight: number;
}

/** The ring of a node that is in no cluster: it owns every key. */
export function loneRing({ id, ringName, weight }: Self): RingView {
  const ring = makeRing([{ id, ringName, weight }]);
  const node = { id, ringName, url: "", weight, state: "active", lastSeenMs: 0, benched: false } as const;
  return { self: id, ring: () => ring, nodes: () => [node] };
}

const nobody = (): Promise<never> =>
  Promise.reject(new AdminProblem(409, "this node is in no cluster: there is no ring to leave or to join"));

export const loneDrainer: Drainer = { drain: nobody, undrain: nobody };
