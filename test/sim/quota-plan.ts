import fc from "fast-check";

/** What befalls the budgets of one upstream in one run, drawn from its seed. Indices are taken modulo of what there is. */
export interface QuotaPlan {
  readonly seed: number;
  readonly nodes: number;
  readonly windowSec: number;
  readonly budgets: readonly QuotaBudget[];
  /** A request takes up to so long to upstream, and its answer back. */
  readonly upstreamMs: number;
  /** A command takes up to so long to Redis, and its answer back. */
  readonly redisMs: number;
  readonly asks: readonly { readonly atMs: number; readonly node: number }[];
  readonly heads: readonly { readonly atMs: number; readonly node: number; readonly budget: number }[];
  /** Who use up budgets from behind the same addresses. */
  readonly strangers: readonly { readonly atMs: number; readonly budget: number; readonly count: number }[];
  readonly faults: readonly QuotaFault[];
}

export interface QuotaBudget {
  readonly limit: number;
  readonly hasHeaders: boolean;
  /** Says in its 429 for how long. */
  readonly hasRetryAfter: boolean;
}

export const quotaFaultKinds = [
  "redis_down",
  "redis_frozen",
  "redis_lossy",
  "redis_wiped",
  "redis_set_back",
  "cut_off",
  "kill",
] as const;

export interface QuotaFault {
  readonly kind: (typeof quotaFaultKinds)[number];
  readonly atMs: number;
  readonly forMs: number;
  readonly node: number;
}

/** All asks, heads, strangers and faults begin within this time. */
export const busyMs = 40_000;

const atMs = fc.oneof(fc.nat(300), fc.nat(5_000), fc.nat(busyMs));

const budget: fc.Arbitrary<QuotaBudget> = fc.record({
  limit: fc.integer({ min: 2, max: 14 }),
  hasHeaders: fc.nat(3).map((drawn) => drawn > 0),
  hasRetryAfter: fc.boolean(),
});

const fault: fc.Arbitrary<QuotaFault> = fc.record({
  kind: fc.constantFrom(...quotaFaultKinds, "redis_down", "redis_wiped"),
  atMs: fc.oneof(fc.nat(6_000), fc.nat(busyMs)),
  forMs: fc.oneof(fc.nat(2_000), fc.nat(25_000)),
  node: fc.nat(5),
});

const often = <T>(none: readonly T[], some: fc.Arbitrary<T[]>, [few, many]: [number, number]) =>
  fc.oneof({ weight: few, arbitrary: fc.constant(none) }, { weight: many, arbitrary: some });

export const quotaPlans: fc.Arbitrary<QuotaPlan> = fc.record({
  seed: fc.integer(),
  nodes: fc.integer({ min: 1, max: 4 }),
  windowSec: fc.integer({ min: 6, max: 16 }),
  budgets: fc.array(budget, { minLength: 1, maxLength: 4 }),
  upstreamMs: fc.oneof(fc.constant(20), fc.constant(400), fc.constant(2_500)),
  redisMs: fc.oneof(fc.constant(1), fc.constant(30)),
  asks: fc.array(fc.record({ atMs, node: fc.nat(5) }), { minLength: 10, maxLength: 50 }),
  heads: fc.array(fc.record({ atMs, node: fc.nat(5), budget: fc.nat(3) }), { maxLength: 12 }),
  strangers: often(
    [],
    fc.array(fc.record({ atMs, budget: fc.nat(3), count: fc.integer({ min: 1, max: 12 }) }), {
      minLength: 1,
      maxLength: 5,
    }),
    [3, 1],
  ),
  faults: often([], fc.array(fault, { minLength: 1, maxLength: 3 }), [1, 2]),
});

/** The same plan for the same seed. */
export function quotaPlanOf(seed: number): QuotaPlan {
  const [plan] = fc.sample(fc.noBias(quotaPlans), { seed, numRuns: 1 });
  if (!plan) throw new Error("no plan");
  return plan;
}
