import assert from "node:assert/strict";
import { test } from "node:test";

import { virtualClock, type VirtualClock } from "@pullring/testkit";

import type { Admin } from "../config/index.ts";
import { AdminProblem } from "./admin-problem.ts";
import { makeAdminGate, type GateRequest } from "./admin-gate.ts";

const token = "a-token-of-many-letters";
const secret = { read: () => token, toString: () => "***", toJSON: () => "***" };
const open: Admin = { listen: { host: "127.0.0.1", port: 5001 }, hosts: ["pullring.example.org", "192.0.2.1"] };
const guarded: Admin = { ...open, token: secret };

interface Asked {
  readonly changes?: boolean;
  readonly headers?: Record<string, string>;
  readonly from?: string;
  readonly to?: string;
}

/** The status that the gate refuses with; 0 = it lets through. */
function statusOf(
  admin: Admin,
  { changes = false, headers = {}, from = "127.0.0.1", to = "127.0.0.1" }: Asked,
): number {
  const request: GateRequest = {
    headers: { host: "127.0.0.1:5001", ...headers },
    socket: { remoteAddress: from, localAddress: to },
  };
  try {
    makeAdminGate(admin, virtualClock())(request, changes);
    return 0;
  } catch (error) {
    assert.ok(error instanceof AdminProblem, String(error));
    return error.status;
  }
}

const right = { authorization: `Bearer ${token}` };
const far = { from: "10.0.0.9", to: "10.0.0.1", headers: { host: "10.0.0.1:5001" } };

test("who asks from this host needs no token to look, from IPv4 or IPv6", () => {
  for (const from of ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"]) {
    assert.equal(statusOf(open, { from }), 0, from);
    assert.equal(statusOf(guarded, { from }), 0, from);
  }
});

test("a change needs the token, also from this host", () => {
  assert.equal(statusOf(guarded, { changes: true }), 401);
  assert.equal(statusOf(guarded, { changes: true, headers: right }), 0);
  assert.equal(statusOf(guarded, { changes: true, headers: { authorization: `bearer ${token}` } }), 0);
});

test("from another host everything needs the token", () => {
  assert.equal(statusOf(guarded, far), 401);
  assert.equal(statusOf(guarded, { ...far, headers: { ...far.headers, ...right } }), 0);
});

test("what a proxy on this host relays comes from elsewhere", () => {
  for (const name of ["forwarded", "x-forwarded-for", "x-real-ip", "via"]) {
    assert.equal(statusOf(guarded, { headers: { [name]: "127.0.0.1" } }), 401, name);
  }
});

test("without a configured token there is nothing that would open: 403, not a login", () => {
  assert.equal(statusOf(open, { changes: true, headers: right }), 403);
  assert.equal(statusOf(open, far), 403);
  assert.equal(statusOf(open, { ...far, headers: { ...far.headers, authorization: "Bearer " } }), 403);
});

for (const authorization of [
  "",
  "Bearer",
  "Bearer ",
  `Bearer ${token}x`,
  `Bearer ${token.slice(1)}`,
  `Bearer ***`,
  `Basic ${token}`,
  token,
]) {
  test(`"${authorization}" is not the token`, () => {
    assert.equal(statusOf(guarded, { changes: true, headers: { authorization } }), 401);
  });
}

test("the token is read anew for every request: its file may have changed", () => {
  let now = "first";
  const admin: Admin = { ...open, token: { ...secret, read: () => now } };
  const headers = { authorization: "Bearer second" };
  assert.equal(statusOf(admin, { changes: true, headers }), 401);
  now = "second";
  assert.equal(statusOf(admin, { changes: true, headers }), 0);
});

test("this node's names are its own address, localhost, and what admin.hosts says", () => {
  for (const host of [
    "127.0.0.1:5001",
    "127.0.0.1",
    "[::1]:5001",
    "localhost:5001",
    "LOCALHOST",
    "node.localhost:1",
    "pullring.example.org",
    "Pullring.Example.org:443",
    "192.0.2.1:5001",
    "10.0.0.1:5001",
  ]) {
    assert.equal(statusOf(open, { headers: { host }, to: "10.0.0.1" }), 0, host);
  }
  assert.equal(statusOf({ ...open, listen: { host: "n1", port: 1 } }, { headers: { host: "n1:1" } }), 0);
});

test("any other Host is refused, token or not: a page that points its own name here asks by that name", () => {
  for (const host of [
    "",
    "evil.example:5001",
    "10.0.0.2:5001",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "pullring.example.org.evil.example",
    "evil.example/@localhost",
    "a b",
  ]) {
    assert.equal(statusOf(guarded, { headers: { host, ...right }, to: "10.0.0.1" }), 403, host);
  }
});

test("an Origin is this very listener, or one of admin.hosts; anything else is refused, token or not", () => {
  const statusFrom = (origin: string): number => statusOf(guarded, { headers: { origin, ...right } });
  for (const origin of ["http://127.0.0.1:5001", "https://pullring.example.org"])
    assert.equal(statusFrom(origin), 0, origin);
  for (const origin of ["null", "", "https://evil.example", "http://localhost:3000", "http://127.0.0.1:3000"])
    assert.equal(statusFrom(origin), 403, origin);
});

/** One gate that is asked again and again. */
function openGate(): { clock: VirtualClock; ask: (authorization: string, from?: string) => number } {
  const clock = virtualClock();
  const gate = makeAdminGate(guarded, clock);
  const ask = (authorization: string, from = "10.0.0.9"): number => {
    try {
      gate(
        {
          headers: { host: "10.0.0.1:5001", authorization },
          socket: { remoteAddress: from, localAddress: "10.0.0.1" },
        },
        true,
      );
      return 0;
    } catch (error) {
      assert.ok(error instanceof AdminProblem);
      if (error.status === 429) assert.ok((error.retryAfterSec ?? 0) > 0);
      return error.status;
    }
  };
  return { clock, ask };
}

test("after ten wrong tokens an address waits out its minute, whatever it brings, and no other address does", async () => {
  const { clock, ask } = openGate();
  for (let guess = 0; guess < 10; guess += 1) assert.equal(ask(`Bearer ${guess}`), 401);
  assert.deepEqual([ask("Bearer 10"), ask(right.authorization), ask(right.authorization, "10.0.0.8")], [429, 429, 0]);
  await clock.advance(60_000);
  assert.equal(ask(right.authorization), 0);
});

test("right tokens are no failures, and none at all is no guess", () => {
  const { ask } = openGate();
  for (let time = 0; time < 30; time += 1) assert.deepEqual([ask(right.authorization), ask("")], [0, 401]);
});
