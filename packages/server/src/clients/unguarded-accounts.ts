import { globMatcher } from "@pullring/core";

import type { Account, ClientRule } from "../config/config.ts";

type PullingAccount = Pick<Account, "name" | "upstream" | "repositories">;

/**
 * Names of the accounts that pull something for clients that no rule asks who they are. Never leaves out such an account; may name
 * one too many, when rules share an account's repositories in ways that can't be told from their globs.
 */
export function unguardedAccounts(accounts: readonly PullingAccount[], rules: readonly ClientRule[]): string[] {
  const guarded = ({ upstream, repositories = ["**"] }: PullingAccount): boolean =>
    repositories.every((pattern) => isGuarded(`${upstream}/${pattern}`, rules));
  return accounts.filter((account) => !guarded(account)).map(({ name }) => name);
}

/** In the order in which rules decide: one that asks nothing opens all that it may match; one that covers the pattern ends the list. */
function isGuarded(pattern: string, rules: readonly ClientRule[]): boolean {
  for (const rule of rules) {
    if (asks(rule) && covers(rule.match, pattern)) return true;
    if (!asks(rule) && mayMeet(rule.match, pattern)) return false;
  }
  return false;
}

const asks = ({ deny, networks, users }: ClientRule): boolean => deny || users !== undefined || networks !== undefined;

/**
 * Whether `wide` matches whatever `narrow` matches, by texts in which each wildcard of `narrow` is a character that only a
 * wildcard can match: once as such, and for `**` once more with separators around it that only `**` can match.
 */
function covers(wide: string, narrow: string): boolean {
  const samples = [fill(narrow, "\0"), fill(narrow, "\0//::\0")];
  if (narrow.endsWith("/**")) samples.push(fill(narrow.slice(0, -"/**".length), "\0"));
  return samples.every(globMatcher(wide));
}

const fill = (glob: string, anything: string): string =>
  glob.replaceAll(/\*\*|\*/g, (found) => (found === "*" ? "\0" : anything));

/** False only when what the globs begin with already differs. */
function mayMeet(left: string, right: string): boolean {
  const [one, other] = [beginningOf(left), beginningOf(right)];
  return one.startsWith(other) || other.startsWith(one);
}

const beginningOf = (glob: string): string => /^[^*]*/.exec(glob.replace(/\/\*\*$/, ""))?.[0] ?? "";
