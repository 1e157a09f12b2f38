import assert from "node:assert/strict";
import { test } from "node:test";

import { globMatcher } from "@pullring/core";
import fc from "fast-check";

import type { ClientRule } from "../config/config.ts";

import { makeRules } from "./rules.ts";
import { unguardedAccounts } from "./unguarded-accounts.ts";

type Rule = Omit<ClientRule, "deny"> & { deny?: boolean };

function unguarded(repositories: readonly string[] | undefined, ...rules: readonly Rule[]): boolean {
  const account = { name: "ci", upstream: "docker.io", ...(repositories && { repositories }) };
  const full = rules.map((rule) => ({ deny: false, ...rule }));
  return unguardedAccounts([account], full).includes("ci");
}

const asks = { users: ["ci"] };

test("without rules every account is unguarded", () => {
  const accounts = ["a", "b"].map((name) => ({ name, upstream: "docker.io" }));
  assert.deepEqual(unguardedAccounts(accounts, []), ["a", "b"]);
});

test("an account is guarded by a rule that covers its patterns and asks for something", () => {
  assert.ok(!unguarded(["acme/**"], { match: "docker.io/acme/**", ...asks }));
  assert.ok(!unguarded(["acme/**"], { match: "docker.io/acme/**", networks: [] }));
  assert.ok(!unguarded(["acme/**"], { match: "docker.io/acme/**", deny: true }));
  assert.ok(!unguarded(["acme/app", "acme/*"], { match: "docker.io/acme/**", ...asks }));
  assert.ok(!unguarded(["acme/*"], { match: "**", ...asks }));
  assert.ok(unguarded(["acme/**"], { match: "docker.io/acme/**" }));
  assert.ok(unguarded(["acme/**"], { match: "docker.io/acme/**", deny: false }));
});

test("every pattern of an account needs its guard", () => {
  assert.ok(unguarded(["acme/**", "other/**"], { match: "docker.io/acme/**", ...asks }));
});

test("a rule for less than the pattern is no guard", () => {
  assert.ok(unguarded(["acme/**"], { match: "docker.io/acme/*", ...asks }));
  assert.ok(unguarded(["acme/**"], { match: "docker.io/acme/*/**", ...asks }), "acme itself is left");
  assert.ok(unguarded(["acme/*"], { match: "docker.io/acme/app*", ...asks }));
  assert.ok(unguarded(["acme/**"], { match: "ghcr.io/acme/**", ...asks }));
});

test("an account without patterns pulls all of its upstream", () => {
  assert.ok(unguarded(undefined, { match: "docker.io/acme/**", ...asks }));
  assert.ok(!unguarded(undefined, { match: "docker.io/**", ...asks }));
});

test("a rule that asks nothing opens what stands behind it", () => {
  assert.ok(unguarded(["acme/**"], { match: "docker.io/acme/public" }, { match: "**", ...asks }));
  assert.ok(!unguarded(["acme/**"], { match: "docker.io/library/*" }, { match: "**", ...asks }));
  assert.ok(!unguarded(["acme/**"], { match: "docker.io/acme/**", ...asks }, { match: "**" }));
});

test("no account is called guarded while a stranger may pull what it pulls", () => {
  const glob = fc
    .array(fc.constantFrom("a", "b", "/", "*", "**", "/**"), { maxLength: 5 })
    .map((parts) => parts.join(""));
  const name = fc.array(fc.constantFrom("a", "b", "ab", "/"), { maxLength: 5 }).map((parts) => parts.join(""));
  const rule = fc
    .tuple(glob, fc.boolean())
    .map(([text, asks]): ClientRule => ({ match: `u/${text}`, deny: false, ...(asks && { users: ["ci"] }) }));
  fc.assert(
    fc.property(
      glob,
      fc.array(rule, { maxLength: 3 }),
      fc.array(name, { minLength: 5, maxLength: 20 }),
      (pattern, rules, names) => {
        const account = { name: "ci", upstream: "u", repositories: [pattern] };
        const pulls = globMatcher(pattern);
        const mayPull = makeRules(rules);
        const open = names.some(
          (text) => pulls(text) && mayPull({ address: "192.0.2.1" }, { upstream: "u", name: text }),
        );
        return !open || unguardedAccounts([account], rules).length === 1;
      },
    ),
    { numRuns: 2_000 },
  );
});
