import assert from "node:assert/strict";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";

import { PullringError, type LaneAnswer, type LaneOrder, type PeerService } from "@pullring/core";
import fc from "fast-check";

import { formatFacts } from "./facts.ts";
import { clientFor, digestOf, failsAs, latest, repository, service, someBytes, startPeer } from "./test-peers.ts";
import { answerHeader, formatOrder, formatTarget, parseOrder } from "./wire.ts";

const trust = { secrets: () => ["a secret of this cluster"] };
const bytes = someBytes(3_000);
const digest = digestOf(bytes);
const mediaType = "application/vnd.oci.image.manifest.v1+json";
const order: LaneOrder = { lane: "ci@a@n2", repository, reference: latest };
const answer: LaneAnswer["answer"] = { lane: { name: order.lane, access: "linked" }, bytes, digest, mediaType };
const told = { limit: 100, remaining: 42, windowSec: 21_600 };

async function listening(t: TestContext, server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => (server.closeAllConnections(), server.close()));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const fetching = (fetch: PeerService["fetch"]): PeerService => service({ fetch });

test("a manifest comes by a lane of the peer, with what that did to its budget", async (t) => {
  const orders: LaneOrder[] = [];
  const outcomes: LaneAnswer["outcome"][] = [told, "spent"];
  const peer = await startPeer(t, {
    trust,
    service: fetching(
      (asked) => (orders.push(asked), Promise.resolve({ answer, outcome: outcomes.shift() ?? "spent" })),
    ),
  });
  const client = clientFor(t, { trust, urls: { n2: peer.url } });
  assert.deepEqual(await client.lanes.fetch("n2", order), { answer, outcome: told });
  assert.deepEqual(await client.lanes.fetch("n2", { ...order, reference: digest }), { answer, outcome: "spent" });
  assert.deepEqual(orders, [order, { ...order, reference: digest }]);
  assert.deepEqual(client.asked[0], { peer: "n2", verb: "fetch", outcome: "ok" });
});

test("what upstream left out is left out", async (t) => {
  const bare: LaneAnswer = { answer: { lane: { name: order.lane, access: "public" }, bytes }, outcome: "spent" };
  const peer = await startPeer(t, { trust, service: fetching(() => Promise.resolve(bare)) });
  assert.deepEqual(await clientFor(t, { trust, urls: { n2: peer.url } }).lanes.fetch("n2", order), bare);
});

test("a refusal of upstream comes with the time that it named", async (t) => {
  const error = new PullringError("throttled", "no more", { reason: "throttled", retryAfterSec: 77.5 });
  const peer = await startPeer(t, { trust, service: fetching(() => Promise.reject(error)) });
  const client = clientFor(t, { trust, urls: { n2: peer.url } });
  await assert.rejects(client.lanes.fetch("n2", order), { code: "throttled", reason: "throttled", retryAfterSec: 78 });
  assert.deepEqual(client.reports, ["n2 ok"], "upstream's refusal is no fault of the peer");
});

for (const code of ["missing", "too_large", "corrupt"] as const) {
  test(`a "${code}" of upstream stays one`, async (t) => {
    const fetch = (): Promise<never> => Promise.reject(new PullringError(code, "no"));
    const peer = await startPeer(t, { trust, service: fetching(fetch) });
    await assert.rejects(clientFor(t, { trust, urls: { n2: peer.url } }).lanes.fetch("n2", order), failsAs(code));
  });
}

test("a peer that does not know the verb, or is not there, is a lane that fails", async (t) => {
  const facts = formatFacts({ from: "n2", epoch: "", boot: "", timeMs: 0, refusal: "verb" });
  const older = createServer((_request, response) => {
    response.writeHead(404, { "content-length": "0", [answerHeader]: facts });
    response.end();
  });
  const urls = { n2: await listening(t, older), n3: "http://127.0.0.1:1" };
  const client = clientFor(t, { urls });
  for (const node of ["n2", "n3", "n9"])
    await assert.rejects(client.lanes.fetch(node, order), failsAs("unavailable"), node);
  assert.equal(client.reports.includes("n2 refused"), false, "one that does not know a verb is healthy");
});

test("what was sent once is not sent again: it may have been counted", async (t) => {
  let asked = 0;
  const server = createServer((request) => {
    asked += 1;
    request.socket.destroy();
  });
  const url = await listening(t, server);
  await assert.rejects(clientFor(t, { trust, urls: { n2: url } }).lanes.fetch("n2", order), failsAs("unavailable"));
  assert.equal(asked, 1);
});

test("an order is read as it was written, and anything else is none", () => {
  assert.deepEqual(parseOrder(formatOrder(order)), order);
  assert.deepEqual(parseOrder(formatOrder({ ...order, reference: digest })), { ...order, reference: digest });
  const base = JSON.parse(formatOrder(order)) as Record<string, unknown>;
  const wrong = [
    { lane: "" },
    { lane: "a b" },
    { lane: "é@a@n2" },
    { lane: 7 },
    { lane: "x".repeat(301) },
    { upstream: "evil/../x" },
    { name: "../x" },
    { name: undefined },
    { reference: "sha256:short" },
    { reference: "" },
    { reference: null },
  ];
  for (const change of wrong)
    assert.equal(parseOrder(JSON.stringify({ ...base, ...change })), undefined, JSON.stringify(change));
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
      assert.equal(parseOrder(text), undefined);
    }),
  );
  assert.equal(formatTarget({ kind: "fetch" }), "/peer/v1/fetch");
});

test("an answer that costs nothing that can be read is no answer", async (t) => {
  for (const outcome of ["unspent", { limit: 100 }, { ...told, remaining: -1 }, 7]) {
    const fetch = () => Promise.resolve({ answer, outcome } as unknown as LaneAnswer);
    const peer = await startPeer(t, { trust, service: fetching(fetch) });
    const client = clientFor(t, { trust, urls: { n2: peer.url } });
    await assert.rejects(client.lanes.fetch("n2", order), failsAs("unavailable"), JSON.stringify(outcome));
  }
});
