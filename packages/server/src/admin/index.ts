/**
 * The admin API. `makeAdminApi` is a part of the admin listener's app; what it knows of the node it takes by the ports of `ports.ts`.
 */
export { AdminProblem } from "./admin-problem.ts";
export { fillsHere, fillsOf } from "./fills-view.ts";
export { loneDrainer, loneRing } from "./lone-node.ts";
export type * from "./ports.ts";
export { quotaOf, type QuotaView } from "./quota-calls.ts";
export { makePurger } from "./purger.ts";
export { servePage } from "./serve-page.ts";
export { makeAdminApi, type AdminApiOptions } from "./serve-admin.ts";
