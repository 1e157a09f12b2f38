import { globMatcher, type Lane } from "@pullring/core";

import type { AccountConfig } from "./config.ts";
import type { Egress } from "./egress.ts";

/** The way a request goes: an account, or nobody, by an egress of this node. */
export interface AccountLane extends Lane {
  readonly account?: AccountConfig;
  readonly egress: Egress;
  readonly node: string;
}

export interface Lanes {
  readonly all: readonly AccountLane[];
  /** The lanes that may ask for a repository, in the order of the configuration. */
  forRepository(name: string): readonly AccountLane[];
  /** Whether the repository is one that this account, or nobody's login (undefined), may ask for; by name, as other nodes tell it. */
  mayAsk(name: string, account: string | undefined): boolean;
}

export interface LanesOptions {
  /** Those of one upstream. */
  readonly accounts: readonly AccountConfig[];
  readonly egress: readonly Egress[];
  readonly node: string;
  /** Whether nobody's login is a lane too. */
  readonly isAnonymous: boolean;
}

export function makeLanes({ accounts, egress, node, isAnonymous }: LanesOptions): Lanes {
  const lanesOf = (account: AccountConfig | undefined): AccountLane[] =>
    egress.map((way) => ({
      name: `${account?.name ?? "anonymous"}@${way.name}@${node}`,
      access: account ? "linked" : "public",
      egress: way,
      node,
      ...(account && { account }),
    }));
  const matchersOf = new Map(accounts.map(({ name, repositories }) => [name, repositories?.map(globMatcher)]));
  const held = accounts.filter(({ repositories }) => repositories !== undefined);
  const open = accounts.filter(({ repositories }) => repositories === undefined);
  const general = [...open.flatMap(lanesOf), ...(isAnonymous ? lanesOf(undefined) : [])];
  const own = held.flatMap(lanesOf);
  const matches = (account: string, name: string): boolean =>
    matchersOf.get(account)?.some((matcher) => matcher(name)) ?? false;

  function forRepository(name: string): readonly AccountLane[] {
    const held = own.filter(({ account }) => account && matches(account.name, name));
    return held.length > 0 ? held : general;
  }

  return {
    all: [...own, ...general],
    forRepository,
    mayAsk: (name, account) => forRepository(name).some((lane) => lane.account?.name === account),
  };
}
