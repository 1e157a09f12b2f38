import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { test } from "node:test";

import type { Exchange } from "../http/exchange.ts";
import type { Verdict } from "./basic-auth.ts";
import { makeDoorkeeper } from "./doorkeeper.ts";

const exchange = { request: { headers: {} } as IncomingMessage } as Exchange;

function door(options: { address?: string; verdict?: Verdict }) {
  let checked = 0;
  const { verdict } = options;
  const check = (): Promise<Verdict> => {
    checked += 1;
    return Promise.resolve(verdict ?? { kind: "refused" });
  };
  const doorkeeper = makeDoorkeeper({
    addressOf: () => options.address ?? "10.0.0.1",
    allowed: { contains: (address) => address.startsWith("10.") },
    mayPull: () => true,
    ...(verdict ? { auth: { check } } : {}),
  });
  return { identify: async () => doorkeeper.identify(exchange), checked: () => checked };
}

test("a stranger is refused before any password is looked at", async () => {
  const { identify, checked } = door({ address: "192.0.2.1", verdict: { kind: "user", name: "ci" } });
  await assert.rejects(identify(), { kind: "network" });
  assert.equal(checked(), 0);
});

test("without logins a client is its address, with them also its user", async () => {
  assert.deepEqual(await door({}).identify(), { address: "10.0.0.1" });
  assert.deepEqual(await door({ verdict: { kind: "user", name: "ci" } }).identify(), {
    address: "10.0.0.1",
    user: "ci",
  });
});

test("a wrong login is unauthorized, too many of them are told when to come back", async () => {
  await assert.rejects(door({ verdict: { kind: "refused" } }).identify(), { kind: "unauthorized" });
  await assert.rejects(door({ verdict: { kind: "throttled", retryAfterSec: 7 } }).identify(), {
    kind: "too_many_failures",
    retryAfterSec: 7,
  });
});

test("who is refused is known by its address behind the proxies", async () => {
  await assert.rejects(door({ address: "192.0.2.1" }).identify());
  assert.deepEqual(exchange.client, { address: "192.0.2.1" });
  await assert.rejects(door({ address: "10.0.0.7", verdict: { kind: "refused" } }).identify());
  assert.deepEqual(exchange.client, { address: "10.0.0.7" });
});
