import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import { bytesBody, type PeerService } from "@pullring/core";
import { ask, testCertificates } from "@pullring/testkit";

import { openPeerListener } from "./listener.ts";
import {
  clientFor,
  digestOf,
  failsAs,
  repository,
  service,
  someBytes,
  startPeer,
  taking,
  type PeerOptions,
  type TestPeer,
} from "./test-peers.ts";
import type { PeerTls, PeerTrust } from "./trust.ts";

const { ca, server, renewed, client: shown } = testCertificates();
const tlsOf = (certificate: { cert: string; key: string }): PeerTls => ({
  ca: () => ca,
  cert: () => certificate.cert,
  key: () => certificate.key,
});
/** The common name in the client's certificate. */
const shownName = "pullring tests only: client";

const bytes = someBytes(3_000_000);
const digest = digestOf(bytes);
const request = { repository, digest, offset: 0 };

interface Counted {
  readonly service: PeerService;
  readonly count: () => number;
}

function counted(): Counted {
  let count = 0;
  const openBlob = () => ((count += 1), Promise.resolve({ body: bytesBody(bytes), access: "public" as const }));
  const manifest = () => ((count += 1), Promise.resolve({ bytes, mediaType: "a/b", access: "public" as const }));
  return { service: service({ openBlob, manifest }), count: () => count };
}

const start = (t: TestContext, parts: Counted, more: Partial<PeerOptions> = {}): Promise<TestPeer> =>
  startPeer(t, { service: parts.service, trust: { tls: tlsOf(server) }, hostOf: () => shownName, ...more });

test("nodes that show each other their certificates need no secret", async (t) => {
  const peer = await start(t, counted());
  const client = clientFor(t, { trust: { tls: tlsOf(shown) }, urls: { n2: peer.url } });
  const taken = taking();
  await client.blobs.get("n2", request, taken.sink);
  assert.ok(taken.bytes().equals(bytes));
  assert.ok((await client.manifests.get("n2", repository, digest)).bytes.equals(bytes));
  assert.equal((await client.hello(peer.url)).id, "n2");
});

test("a certificate of the right authority for another name is refused by who is asked", async (t) => {
  for (const hostOf of [() => "n1.example", () => undefined]) {
    const parts = counted();
    const peer = await start(t, parts, { hostOf });
    const client = clientFor(t, { trust: { tls: tlsOf(shown) }, urls: { n2: peer.url } });
    await assert.rejects(client.blobs.get("n2", request, taking().sink), failsAs("unreachable"));
    await assert.rejects(client.manifests.get("n2", repository, digest), failsAs("unreachable"));
    assert.equal(parts.count(), 0);
    assert.ok(peer.served.every(({ outcome }) => outcome === "refused"));
  }
});

test("a certificate of the right authority for another name is refused by who asks", async (t) => {
  let asked = 0;
  // The certificate was made for localhost and 127.0.0.1: for this node's id, if it is called so, but not for its address.
  const listener = await openPeerListener({
    listen: { host: "127.0.0.2", port: 0 },
    trust: { tls: tlsOf(server) },
    handler: (_, response) => {
      asked += 1;
      response.writeHead(404).end();
    },
  });
  t.after(() => listener.close());
  const url = `https://127.0.0.2:${listener.port}`;
  const client = clientFor(t, { trust: { tls: tlsOf(shown) }, urls: { n2: url, localhost: url } });
  await assert.rejects(client.manifests.get("n2", repository, digest), failsAs("unreachable", "down"));
  await assert.rejects(client.blobs.get("n2", request, taking().sink), failsAs("unreachable", "down"));
  assert.deepEqual(new Set(client.reports), new Set(["n2 refused"]));
  assert.equal(asked, 0);
  await assert.rejects(client.manifests.get("localhost", repository, digest), failsAs("unreachable", "down"));
  assert.equal(asked, 1);
});

test("who shows no certificate, or speaks in the clear, gets no byte", async (t) => {
  const parts = counted();
  const peer = await start(t, parts);
  await assert.rejects(ask(`${peer.url}/peer/v1/hello`, { ca }));
  await assert.rejects(ask(`${peer.url.replace("https", "http")}/peer/v1/hello`));
  const trusts: PeerTrust[] = [{}, { secrets: () => ["a secret"] }];
  for (const trust of trusts)
    for (const url of [peer.url, peer.url.replace("https", "http")]) {
      const client = clientFor(t, { trust, urls: { n2: url } });
      await assert.rejects(client.manifests.get("n2", repository, digest), failsAs("unreachable"));
    }
  assert.equal(parts.count(), 0);
});

test("a node with a certificate does not ask a peer in the clear", async (t) => {
  const parts = counted();
  const peer = await startPeer(t, { service: parts.service });
  const client = clientFor(t, { trust: { tls: tlsOf(shown) }, urls: { n2: peer.url } });
  await assert.rejects(client.manifests.get("n2", repository, digest), failsAs("unreachable"));
  await assert.rejects(client.blobs.get("n2", request, taking().sink), failsAs("unreachable"));
  assert.equal(parts.count(), 0);
  assert.deepEqual(peer.served, []);
});

test("with both, a certificate does not do without the secret, nor the secret without a certificate", async (t) => {
  const parts = counted();
  const secrets = (): readonly string[] => ["a secret"];
  const peer = await start(t, parts, { trust: { tls: tlsOf(server), secrets } });
  const asks = async (trust: PeerTrust): Promise<unknown> =>
    clientFor(t, { trust, urls: { n2: peer.url } }).manifests.get("n2", repository, digest);
  await assert.rejects(asks({ tls: tlsOf(shown) }), failsAs("unreachable"));
  await assert.rejects(asks({ tls: tlsOf(shown), secrets: () => ["another"] }), failsAs("unreachable"));
  await assert.rejects(asks({ secrets }), failsAs("unreachable"));
  assert.equal(parts.count(), 0);
  await asks({ tls: tlsOf(shown), secrets });
  assert.equal(parts.count(), 1);
});

test("a renewed certificate is in use from the next connection on, and half a renewal harms nobody", async (t) => {
  const current = { ...server };
  const peer = await start(t, counted(), { trust: { tls: tlsOf(current) } });
  const asks = () =>
    clientFor(t, { trust: { tls: tlsOf(shown) }, urls: { n2: peer.url } }).manifests.get("n2", repository, digest);
  await asks();
  current.cert = renewed.cert;
  await asks();
  current.key = renewed.key;
  await asks();
});
