import { globMatcher, type Lane } from "@pullring/core";

import type { AccountConfig } from "./config.ts";

/** The way a request goes: an account, or nobody, by the default egress. */
export interface AccountLane extends Lane {
  readonly account?: AccountConfig;
}

export interface Lanes {
  /** The lanes that may ask for a repository, in the order of the configuration. */
  forRepository(name: string): readonly AccountLane[];
}

/** `accounts` are those of one upstream. */
export function makeLanes(accounts: readonly AccountConfig[], node: string): Lanes {
  const anonymous: AccountLane = { name: `anonymous@default@${node}`, access: "public" };
  const lanes = accounts.map((account) => ({
    lane: { name: `${account.name}@default@${node}`, access: "linked", account } satisfies AccountLane,
    matchers: account.repositories?.map(globMatcher),
  }));
  const general = [...lanes.filter(({ matchers }) => !matchers).map(({ lane }) => lane), anonymous];

  return {
    forRepository(name) {
      const own = lanes.filter(({ matchers }) => matchers?.some((matches) => matches(name)));
      return own.length > 0 ? own.map(({ lane }) => lane) : general;
    },
  };
}
