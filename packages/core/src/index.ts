/**
 * The cache: what is read where, who may read it, and what it costs upstream. No I/O here; clock, disk, upstream and peers are ports.
 *
 * A request for a digest takes these steps, in this order (`blobs.ts` and `manifests.ts`, function `open` or `get`):
 *
 * 1. Route: which repository of which upstream (`routing.ts`). A closed table; unknown names are never dialled.
 * 2. Local: memory, then disk; opened before anything is promised. Bytes an account brought need a link (`links.ts`).
 * 3. Known to be missing: upstream said so a moment ago.
 * 4. Flight: the fill of this digest that already runs (`fills.ts`); a new reader starts at byte 0.
 * 5. A fill of its own (`fill.ts`): spool, hash, tail held back until the digest matches, publish.
 *
 * Where a fill or a manifest comes from is decided in one place (`search.ts`): the digest's owner, who holds it, shared storage, the
 * lease and upstream; on a node by itself upstream alone. What peers ask of this node ends in `serve-peers.ts`.
 *
 * A tag is first a question about freshness (`tags.ts`), then a digest.
 */
export type { BlobOrder, OpenBlob } from "./blobs.ts";
export type * from "./cluster-ports.ts";
export { makeCache, type Cache, type CacheDeps } from "./cache.ts";
export { BudgetMarks } from "./budget-marks.ts";
export { aloneWith, type Debt, payDebt, restore, type Settled, settleLate, shiftTimes } from "./budget-merge.ts";
export { advance, type BudgetRow } from "./budget-row.ts";
export { BudgetTable, clipKey, isIdle, type Outcome, type Took } from "./budget-table.ts";
export { makeLocalBudgets } from "./local-budgets.ts";
export { hasCode, PullringError, type ErrorCode, type ErrorFacts, type StaleReason } from "./errors.ts";
export { bytesBody } from "./body.ts";
export type { Stale } from "./freshness.ts";
export { globMatcher } from "./glob.ts";
export { budgetLimits, limits } from "./limits.ts";
export type { List } from "./lists.ts";
export { withMemory } from "./memory-tier.ts";
export type { CacheEvent, Observe } from "./observe.ts";
export { makePins, type Pins } from "./pins.ts";
export { makeLocalPriorDigests } from "./prior-digests.ts";
export * from "./ports.ts";
export type * from "./quota-ports.ts";
export { makeRecent, type Recent } from "./recent.ts";
export type { TagRecord } from "./tags.ts";
export { lookUp, route, type UpstreamNames } from "./routing.ts";
