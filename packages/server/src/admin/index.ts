/**
 * The admin API. `makeAdminApi` is a part of the admin listener's app; what it knows of the node it takes by the ports of `ports.ts`.
 */
export { AdminProblem } from "./admin-problem.ts";
export { ClusterEvents } from "./cluster-events.ts";
export { EventFeed, type EventSources } from "./event-feed.ts";
export { fillsHere, fillsOf } from "./fills-view.ts";
export { makeHeldHere } from "./held-here.ts";
export { heldOf, tellHeld } from "./held-view.ts";
export { loneDrainer, loneRing } from "./lone-node.ts";
export type * from "./ports.ts";
export { quotaOf, type QuotaView } from "./quota-calls.ts";
export { makePurger } from "./purger.ts";
export { servePage } from "./serve-page.ts";
export { warm } from "./warm.ts";
export { makeWarmBudget } from "./warm-budget.ts";
export { makeAdminApi, type AdminApiOptions } from "./serve-admin.ts";
