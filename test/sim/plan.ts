import fc from "fast-check";

/** What one run does, drawn from its seed. Indices are taken modulo of what there is. */
export interface Plan {
  readonly seed: number;
  readonly nodes: number;
  readonly hasShared: boolean;
  /** For each node whom it misses in the ring at first; -1 = nobody, its own number = all but itself. */
  readonly misses: readonly number[];
  /** Whether messages about leases arrive. */
  readonly hasHints: boolean;
  /** Every hop takes up to so long. */
  readonly jitterMs: number;
  /** Upstream sends a piece in up to so long. */
  readonly pieceMs: number;
  /** Bytes of each blob. */
  readonly blobs: readonly number[];
  readonly asks: readonly Ask[];
  readonly faults: readonly Fault[];
  /** Whether the nodes learn of each other by their heartbeats; else the plan itself tells each who is there. */
  readonly hasBeats: boolean;
}

export interface Ask {
  readonly atMs: number;
  readonly node: number;
  readonly kind: "blob" | "manifest" | "tag" | "pull";
  readonly item: number;
  readonly repository: number;
  /** After so many pieces the client leaves; -1 = it stays. */
  readonly leavesAfter: number;
  /** How long it takes for each piece. */
  readonly pauseMs: number;
}

export const faultKinds = [
  "kill",
  "hang",
  "sever",
  "lie",
  "evict",
  "leave",
  "other_ring",
  "redis_down",
  "redis_lossy",
  "redis_cut_off",
  "redis_wiped",
  "shared_down",
  "shared_corrupt",
  "upstream_down",
  "upstream_throttles",
  "upstream_cuts",
  "upstream_corrupts",
  "upstream_slow",
  "purge",
  "tag_moves",
] as const;

export type FaultKind = (typeof faultKinds)[number];

export interface Fault {
  readonly kind: FaultKind;
  readonly atMs: number;
  readonly forMs: number;
  readonly node: number;
  readonly other: number;
}

const ask: fc.Arbitrary<Ask> = fc.record({
  // Most at once, as when a cluster starts an image everywhere.
  atMs: fc.oneof(fc.nat(200), fc.nat(3_000), fc.nat(25_000)),
  node: fc.nat(5),
  kind: fc.constantFrom("blob", "blob", "blob", "manifest", "tag", "pull"),
  item: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 2, arbitrary: fc.nat(5) }),
  repository: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 2, arbitrary: fc.nat(2) }),
  leavesAfter: fc.oneof({ weight: 4, arbitrary: fc.constant(-1) }, { weight: 1, arbitrary: fc.nat(3) }),
  pauseMs: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(500) }),
});

const fault: fc.Arbitrary<Fault> = fc.record({
  kind: fc.constantFrom(...faultKinds, "kill", "hang", "upstream_cuts"),
  atMs: fc.oneof({ weight: 3, arbitrary: fc.nat(6_000) }, { weight: 1, arbitrary: fc.nat(25_000) }),
  forMs: fc.oneof(fc.nat(3_000), fc.nat(30_000)),
  node: fc.nat(5),
  other: fc.nat(5),
});

/** One run in four has no faults: there the bounds are exact. */
const faults = fc.oneof(
  { weight: 1, arbitrary: fc.constant([]) },
  { weight: 3, arbitrary: fc.array(fault, { minLength: 1, maxLength: 7 }) },
);

export const plans: fc.Arbitrary<Plan> = fc.record({
  seed: fc.integer(),
  nodes: fc.integer({ min: 3, max: 6 }),
  hasShared: fc.boolean(),
  misses: fc.oneof(
    { weight: 3, arbitrary: fc.constant([]) },
    { weight: 2, arbitrary: fc.array(fc.integer({ min: -1, max: 5 }), { minLength: 3, maxLength: 6 }) },
  ),
  hasHints: fc.boolean(),
  jitterMs: fc.integer({ min: 1, max: 40 }),
  pieceMs: fc.oneof(
    { weight: 1, arbitrary: fc.nat(20) },
    { weight: 2, arbitrary: fc.integer({ min: 100, max: 2_000 }) },
  ),
  blobs: fc.array(
    fc.oneof(
      { weight: 1, arbitrary: fc.integer({ min: 1, max: 3_000 }) },
      { weight: 3, arbitrary: fc.integer({ min: 4_000, max: 24_000 }) },
    ),
    { minLength: 1, maxLength: 4 },
  ),
  asks: fc.array(ask, { minLength: 4, maxLength: 14 }),
  faults,
  // The last one: what came before stays as it was for each seed.
  hasBeats: fc.nat(7).map((drawn) => drawn === 0),
});

/** The same plan for the same seed. */
export function planOf(seed: number): Plan {
  const [plan] = fc.sample(fc.noBias(plans), { seed, numRuns: 1 });
  if (!plan) throw new Error("no plan");
  return plan;
}
