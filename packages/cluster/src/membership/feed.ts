import type { MembershipStatus } from "./membership.ts";
import type { MemberState } from "./member.ts";
import type { Others } from "./roster.ts";

/** Where a node learns of the others, and tells them of itself. */
export interface Feed {
  readonly others: Others;
  /** `onRead` calls whenever `others` may have changed. */
  start(onRead: () => void): Promise<void>;
  /** Resolves to whether the others can know. Never rejects. */
  tell(state: MemberState): Promise<boolean>;
  status(): MembershipStatus;
  stop(isGone: boolean): Promise<void>;
}
