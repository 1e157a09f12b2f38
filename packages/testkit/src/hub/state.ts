import type { ContentStore } from "./content.ts";
import type { HubKnobs } from "./knobs.ts";
import type { Quota } from "./quota.ts";

/** What the origins of one hub share. */
export interface HubState {
  readonly knobs: HubKnobs;
  readonly content: ContentStore;
  readonly quota: Quota;
  /** Signs tokens and CDN addresses. */
  readonly secret: string;
  readonly now: () => number;
  /** Base addresses; complete once every origin listens. */
  readonly origins: { registry: string; token: string; cdns: [string, string] };
}
