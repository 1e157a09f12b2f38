import assert from "node:assert/strict";
import { test } from "node:test";

import type { Egress } from "./egress.ts";
import type { AccountLane } from "./lanes.ts";
import { assumedKey, makePayers, networkOf } from "./payers.ts";
import type { Answer } from "./redirects.ts";
import { accountOf } from "./test-rig.ts";

const one = accountOf({ username: "one", password: "first" });

const laneBy = (egress: Egress, account = false): AccountLane => ({
  name: `${account ? "one" : "anonymous"}@${egress.name}@n1`,
  access: account ? "linked" : "public",
  egress,
  node: "n1",
  ...(account && { account: one }),
});
const nobody = laneBy({ name: "a" });
const somebody = laneBy({ name: "a" }, true);

const answer = (headers: Answer["headers"], facts: Partial<Answer> = {}): Answer => ({
  status: 200,
  headers,
  url: new URL("http://registry.test/"),
  direct: true,
  ...facts,
});
const rate = (limit: string, remaining: string) => ({ "ratelimit-limit": limit, "ratelimit-remaining": remaining });
const named = (source: string) => ({ "docker-ratelimit-source": source });

test("until upstream has spoken an account is one payer by any address, and an address one for who has none", () => {
  const keyOf = (lane: AccountLane): string => assumedKey("docker.io", lane);
  assert.equal(keyOf(laneBy({ name: "a" }, true)), keyOf(laneBy({ name: "b" }, true)));
  assert.equal(keyOf(laneBy({ name: "a", localAddress: "192.0.2.1" })), "docker.io egress:192.0.2.1");
  assert.equal(
    keyOf(laneBy({ name: "a", localAddress: "2001:db8::1" })),
    keyOf(laneBy({ name: "b", localAddress: "2001:db8::2" })),
  );
  const proxy = new URL("http://proxy:3128");
  assert.equal(keyOf(laneBy({ name: "b", proxy })), "docker.io egress:b@n1");
  assert.notEqual(keyOf({ ...laneBy({ name: "b", proxy }), node: "n2" }), keyOf(laneBy({ name: "b", proxy })));
});

test("the source that upstream names is the payer from then on, for every lane that it names it for", () => {
  const payers = makePayers("docker.io");
  const other = laneBy({ name: "b" });
  payers.learn(nobody, answer(named("192.0.2.7")));
  payers.learn(other, answer(named("192.0.2.7")));
  assert.equal(payers.of(nobody).key, "docker.io source:192.0.2.7");
  assert.equal(payers.of(other).key, payers.of(nobody).key);
  payers.learn(nobody, answer({}));
  assert.equal(payers.of(nobody).source, "192.0.2.7");
  assert.equal(payers.of(somebody).key, "docker.io account:one");
});

for (const [what, source] of [
  ["with spaces", "a b"],
  ["without end", "a".repeat(129)],
  ["empty", ""],
  ["with line feeds", "a\nb"],
] as const) {
  test(`a source that is ${what} names nobody`, () => {
    const payers = makePayers("docker.io");
    payers.learn(nobody, answer(named(source)));
    assert.equal(payers.of(nobody).source, undefined);
  });
}

test("an IPv6 address pays with its /64, however it is written", () => {
  for (const [address, network] of [
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:0DB8:1:2::6/128", "2001:db8:1:2::/64"],
    ["2001:db8::1", "2001:db8:0:0::/64"],
    ["::1", "0:0:0:0::/64"],
    ["2001:db8:1:2::/64", "2001:db8:1:2::/64"],
    ["192.0.2.1", "192.0.2.1"],
    ["4b1ee0f2-aaaa", "4b1ee0f2-aaaa"],
  ] as const)
    assert.equal(networkOf(address), network);
});

for (const [what, headers, told] of [
  ["in the words of Docker Hub", rate("100;w=21600", "76;w=21600"), { limit: 100, remaining: 76, windowSec: 21_600 }],
  ["in a window of an hour", rate("100;w=3600", "76;w=3600"), { limit: 100, remaining: 76, windowSec: 3_600 }],
  ["with the window beside one of them", rate("100", "76; w=60"), { limit: 100, remaining: 76, windowSec: 60 }],
  ["without a window", rate("100", "76"), undefined],
  ["with no time for a window", rate("100;w=0", "76;w=0"), undefined],
  ["by half", { "ratelimit-limit": "100;w=60" }, undefined],
  ["in words", rate("many;w=60", "some;w=60"), undefined],
  ["below nothing", rate("100;w=60", "-1;w=60"), undefined],
] as const) {
  test(`rate headers ${what} tell ${told ? "a budget" : "nothing"}`, () => {
    assert.deepEqual(makePayers("docker.io").learn(nobody, answer(headers)), told);
  });
}

test("an account whose 200s say nothing is unmetered until they do; nobody's and other answers mean nothing", () => {
  const payers = makePayers("docker.io");
  for (const status of [404, 429, 503]) payers.learn(somebody, answer({}, { status }));
  payers.learn(nobody, answer({}));
  assert.deepEqual([payers.of(somebody).isUnmetered, payers.of(nobody).isUnmetered], [false, false]);
  payers.learn(somebody, answer({}));
  payers.learn(somebody, answer({}, { status: 429 }));
  assert.equal(payers.of(somebody).isUnmetered, true);
  payers.learn(somebody, answer(rate("200;w=60", "199;w=60")));
  assert.equal(payers.of(somebody).isUnmetered, false);
});

test("a refused token, a failing registry and whoever it sends us to say nothing of payers", () => {
  const payers = makePayers("docker.io");
  const headers = { ...named("192.0.2.7"), ...rate("1;w=60", "0;w=60") };
  for (const facts of [{ status: 401 }, { status: 502 }, { direct: false }])
    assert.equal(payers.learn(nobody, answer(headers, facts)), undefined);
  assert.deepEqual([payers.of(nobody).isHeard, payers.of(nobody).source], [false, undefined]);
  payers.learn(nobody, answer(headers, { status: 404 }));
  assert.deepEqual([payers.of(nobody).isHeard, payers.of(nobody).source], [true, "192.0.2.7"]);
});
