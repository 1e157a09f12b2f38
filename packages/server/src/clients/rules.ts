import { globMatcher, repositoryKey, type Repository } from "@pullring/core";

import type { ClientRule } from "../config/config.ts";
import type { Client } from "../http/exchange.ts";

import { networks } from "./networks.ts";

/**
 * Rules in their order: the first whose glob matches decides alone, also when it refuses; a rule's conditions do not send a
 * client on to the next one. What no rule matches is open to every admitted client.
 */
export function makeRules(rules: readonly ClientRule[]): (client: Client, repository: Repository) => boolean {
  const compiled = rules.map((rule) => ({ matches: globMatcher(rule.match), admits: compile(rule) }));
  return (client, repository) => {
    const key = repositoryKey(repository);
    return compiled.find(({ matches }) => matches(key))?.admits(client) ?? true;
  };
}

function compile(rule: ClientRule): (client: Client) => boolean {
  if (rule.deny) return () => false;
  const users = rule.users && new Set(rule.users);
  const inside = rule.networks && networks(rule.networks);
  return ({ address, user }) =>
    (users === undefined || (user !== undefined && users.has(user))) && (inside?.contains(address) ?? true);
}
