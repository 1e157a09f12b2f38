import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import type { OnAsk } from "./caller.ts";
import { formatFacts, parseRequestFacts, type Cause } from "./facts.ts";
import type { PeerAsking } from "./handler.ts";
import { clientFor, digestOf, repository, serving, someBytes, startPeer, taking } from "./test-peers.ts";

const bytes = someBytes(1_000);
const digest = digestOf(bytes);
const trust = { secrets: () => ["a secret of this cluster"] };
const trace = `00-${"ab".repeat(16)}-${"cd".repeat(8)}-01`;
const cause: Cause = { requestId: "n1-abc", traceparent: trace, tracestate: "vendor=1" };

const facts = { from: "n1", to: "n2", host: "n2:1", epoch: "", boot: "", timeMs: 0, nonce: "n".repeat(16) };
const parsed = (told: unknown): Cause | undefined => {
  const found = parseRequestFacts(formatFacts({ ...facts, cause: told }));
  assert.ok(found, "no cause makes a request one that is not understood");
  return found.cause;
};

test("what a request is made for crosses the wire, and each side is told of its end", async (t) => {
  const asked: string[] = [];
  const served: PeerAsking[] = [];
  const peer = await startPeer(t, {
    trust,
    service: serving(bytes),
    around: async (asking, run) => (served.push(asking), await run()),
  });
  const onAsk: OnAsk = ({ peer: to, verb, target }) => {
    asked.push(`${verb} ${target.kind} at ${to}`);
    return { cause, end: (outcome) => void asked.push(outcome) };
  };
  const client = clientFor(t, { trust, urls: { n2: peer.url }, onAsk });
  await client.blobs.get("n2", { repository, digest, offset: 0 }, taking().sink);
  assert.deepEqual(asked, ["get blob at n2", "ok"]);
  assert.deepEqual(served, [{ from: "n1", target: { kind: "blob", verb: "get", repository, digest }, cause }]);
});

test("words out of form are left out, the request goes on", () => {
  assert.deepEqual(parsed(cause), cause);
  assert.deepEqual(parsed({ requestId: "a", more: 1 }), { requestId: "a" });
  for (const requestId of ["", "a b", "a\nb", "é", "a".repeat(129), 7, null, {}])
    assert.equal(parsed({ requestId }), undefined);
  for (const traceparent of [
    trace.toUpperCase(),
    trace.replace("00-", "ff-"),
    `${trace}-1`,
    `00-${"0".repeat(32)}-${"cd".repeat(8)}-01`,
    `00-${"ab".repeat(16)}-${"0".repeat(16)}-01`,
  ])
    assert.equal(parsed({ traceparent, tracestate: "a=b" }), undefined, traceparent);
  for (const tracestate of ["", "é", "a".repeat(513), 7])
    assert.deepEqual(parsed({ traceparent: trace, tracestate }), { traceparent: trace });
});

test("whatever stands there, nothing throws", () => {
  fc.assert(fc.property(fc.jsonValue(), (told) => void parsed(told)));
});
