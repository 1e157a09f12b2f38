import assert from "node:assert/strict";
import { test } from "node:test";

import type { ClientRule, Network } from "../config/config.ts";

import { makeRules as rulesOf } from "./rules.ts";

const office: Network = { address: "10.1.0.0", prefixBits: 16, family: "ipv4" };

const makeRules = (rules: readonly (Omit<ClientRule, "deny"> & { deny?: boolean })[]): ReturnType<typeof rulesOf> =>
  rulesOf(rules.map((rule) => ({ deny: false, ...rule })));

const acme = { upstream: "docker.io", name: "acme/app" };
const alpine = { upstream: "docker.io", name: "library/alpine" };
const ci = { address: "10.1.2.3", user: "ci" };

test("without rules every admitted client pulls everything", () => {
  assert.ok(makeRules([])({ address: "192.0.2.1" }, acme));
});

test("what no rule matches is open", () => {
  const mayPull = makeRules([{ match: "docker.io/acme/**", users: ["ci"] }]);
  assert.ok(mayPull({ address: "192.0.2.1" }, alpine));
  assert.ok(mayPull({ address: "192.0.2.1" }, { upstream: "ghcr.io", name: "acme/app" }));
});

test("a rule's users and networks must both be satisfied", () => {
  const mayPull = makeRules([{ match: "docker.io/acme/**", users: ["ci"], networks: [office] }]);
  assert.ok(mayPull(ci, acme));
  assert.ok(!mayPull({ ...ci, address: "10.2.0.1" }, acme));
  assert.ok(!mayPull({ ...ci, user: "dev" }, acme));
  assert.ok(!mayPull({ address: ci.address }, acme), "a client without a login is none of the users");
});

test("the first rule that matches decides, also against the client", () => {
  const mayPull = makeRules([
    { match: "docker.io/acme/**", users: ["ci"] },
    { match: "**", deny: false },
  ]);
  assert.ok(!mayPull({ address: ci.address, user: "dev" }, acme), "the rule after it does not open what it refused");
  assert.ok(mayPull({ address: ci.address, user: "dev" }, alpine));
});

test("deny refuses everybody", () => {
  const mayPull = makeRules([{ match: "docker.io/library/*" }, { match: "**", deny: true, users: ["ci"] }]);
  assert.ok(mayPull(ci, alpine));
  assert.ok(!mayPull(ci, acme));
});

test("an empty list of users or networks admits nobody", () => {
  assert.ok(!makeRules([{ match: "**", users: [] }])(ci, acme));
  assert.ok(!makeRules([{ match: "**", networks: [] }])(ci, acme));
});
