import assert from "node:assert/strict";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";

import { bytesBody, type PeerService, type PullringError } from "@pullring/core";
import { ask, type Asked } from "@pullring/testkit";

import {
  clientFor,
  digestOf,
  failsAs,
  latest,
  realClock,
  repository,
  service,
  someBytes,
  startPeer,
  taking,
  type TestClient,
  type TestPeer,
} from "./test-peers.ts";
import { answerHeader, formatTarget, macHeader, requestHeader } from "./wire.ts";

const secret = "a secret of this cluster";
const trust = { secrets: () => [secret] };
const bytes = someBytes(300_000);
const digest = digestOf(bytes);
const blobTarget = formatTarget({ kind: "blob", verb: "get", repository, digest });

/** A peer that would tell everything, and counts how often it is asked to. */
function open(): { service: PeerService; count: () => number } {
  let count = 0;
  const counted = <T>(value: T): Promise<T> => ((count += 1), Promise.resolve(value));
  const record = { digest, access: "public", checkedAt: realClock.now() } as const;
  return {
    count: () => count,
    service: service({
      openBlob: () => counted({ body: bytesBody(bytes), access: "public" }),
      holding: () => counted({ state: "whole", bytes: bytes.length, access: "public" }),
      manifest: () => counted({ bytes, mediaType: "a/b", access: "public" }),
      resolve: () => counted({ record }),
      fetch: ({ lane }) =>
        counted({ answer: { lane: { name: lane, access: "public" }, bytes, digest }, outcome: "spent" }),
      purge: () => counted(undefined),
    }),
  };
}

interface Seen {
  readonly method: string;
  readonly target: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** Somebody on the way: reads along, and changes what a test wants changed. */
interface Middle {
  readonly url: string;
  /** Where the peer really is. */
  peerUrl: string;
  readonly requests: Seen[];
  readonly answers: Asked[];
  request: (seen: Seen) => Seen;
  answer: (answer: Asked) => Asked;
}

async function startMiddle(t: TestContext): Promise<Middle> {
  const server = createServer((request, response) => {
    void (async () => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const { method = "", url = "", headers } = request;
      const seen = { method, target: url, headers, body: Buffer.concat(chunks).toString() };
      middle.requests.push(seen);
      const answer = await replay(middle.peerUrl, middle.request(seen));
      middle.answers.push(answer);
      const { status, headers: more, body } = middle.answer(answer);
      response.writeHead(status, more);
      response.end(body);
    })();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => (server.closeAllConnections(), server.close()));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const same = <T>(value: T): T => value;
  const middle: Middle = { url, peerUrl: "", requests: [], answers: [], request: same, answer: same };
  return middle;
}

const replay = (url: string, { method, target, headers, body }: Seen): Promise<Asked> =>
  ask(url + target, { method, headers: headers as Record<string, string>, body });

/** A client whose whole traffic with a peer goes through somebody; the peer is where that somebody is, as far as it knows. */
async function overheard(t: TestContext): Promise<{
  peer: TestPeer;
  middle: Middle;
  client: TestClient;
  count: () => number;
}> {
  const { service, count } = open();
  const middle = await startMiddle(t);
  const peer = await startPeer(t, { service, trust, url: middle.url });
  middle.peerUrl = peer.url;
  return { peer, middle, count, client: clientFor(t, { trust, urls: { n2: middle.url } }) };
}

const order = { lane: "ci@a@n2", repository, reference: latest };
const request = { repository, digest, offset: 0 };

/** Everything that a client can ask; each resolves when the peer is believed. */
const questions: Readonly<Record<string, (client: TestClient, url: string) => Promise<unknown>>> = {
  get: (client) => client.blobs.get("n2", request, taking().sink),
  resume: (client) => client.blobs.read("n2", { ...request, offset: 1000 }, taking().sink),
  manifest: (client) => client.manifests.get("n2", repository, digest),
  resolve: (client) => client.manifests.resolve("n2", repository, latest),
  purge: (client) => client.purge("n2", { repository, tag: latest, atMs: realClock.now() }),
  fetch: (client) =>
    client.lanes.fetch("n2", order).catch((error: PullringError) => Promise.reject(error.cause as Error)),
  hello: (client, url) => client.hello(url, "n2"),
};

const header = (seen: { headers: IncomingHttpHeaders }, name: string): string => String(seen.headers[name]);

function withHeader<T extends { headers: IncomingHttpHeaders }>(seen: T, name: string, value: string | undefined): T {
  const { [name]: _, ...headers } = seen.headers;
  return { ...seen, headers: value === undefined ? headers : { ...headers, [name]: value } };
}

test("who knows no secret gets no byte of anything, and no word", async (t) => {
  const { service, count } = open();
  const peer = await startPeer(t, { service, trust });
  const targets = [
    "/peer/v1/hello",
    "/peer/v1/nothing",
    blobTarget,
    formatTarget({ kind: "tag", verb: "get", repository, tag: latest }),
  ];
  for (const target of targets) {
    const forged = { [requestHeader]: "{}", [macHeader]: "A".repeat(43) };
    for (const headers of [{}, forged, { [macHeader]: "x" }]) {
      const answer = await ask(peer.url + target, { headers });
      assert.equal(answer.status, 401);
      assert.equal(answer.body.length, 0);
      assert.deepEqual(Object.keys(answer.headers).sort(), ["connection", "content-length", "date"]);
    }
  }
  assert.equal((await ask(`${peer.url}/v2/`)).status, 404);
  assert.equal(count(), 0);
});

test("another secret is no secret, and to have none left is to trust nobody", async (t) => {
  for (const secrets of [["another"], []]) {
    for (const [ours, theirs] of [
      [secrets, [secret]],
      [[secret], secrets],
    ] as const) {
      const { service, count } = open();
      const peer = await startPeer(t, { service, trust: { secrets: () => theirs } });
      const client = clientFor(t, { trust: { secrets: () => ours }, urls: { n2: peer.url } });
      for (const question of Object.values(questions))
        await assert.rejects(question(client, peer.url), failsAs("unreachable"));
      assert.deepEqual(await client.blobs.holders(["n2"], repository, digest), []);
      assert.equal(count(), 0);
      assert.ok(client.reports.length > 0 && client.reports.every((report) => report === "n2 refused"));
    }
  }
});

test("the secret never travels", async (t) => {
  const { middle, client } = await overheard(t);
  for (const question of Object.values(questions)) await question(client, middle.url);
  assert.ok(middle.requests.length >= Object.keys(questions).length);
  assert.equal(JSON.stringify([middle.requests, middle.answers]).includes(secret), false);
});

for (const [name, question] of Object.entries(questions)) {
  test(`a recorded ${name} is never answered again`, async (t) => {
    const { middle, peer, client, count } = await overheard(t);
    await question(client, middle.url);
    const before = count();
    for (const seen of middle.requests) {
      const again = await replay(peer.url, seen);
      assert.equal(again.status, 401);
      assert.equal(again.body.length, 0);
    }
    assert.equal(count(), before);
  });

  test(`a ${name} that was changed on its way is not served`, async (t) => {
    const { middle, client, count } = await overheard(t);
    const changes: readonly ((seen: Seen) => Seen)[] = [
      (seen) => ({ ...seen, target: seen.target.replace("alpine", "secret") }),
      (seen) => ({ ...seen, headers: { ...seen.headers, range: "bytes=2000-" } }),
      (seen) => ({ ...seen, method: seen.method === "GET" ? "HEAD" : seen.method }),
      (seen) => ({ ...seen, body: seen.body.replace("latest", "stable") }),
      (seen) => withHeader(seen, requestHeader, header(seen, requestHeader).replace('"n1"', '"n3"')),
      (seen) => withHeader(seen, macHeader, "A".repeat(43)),
    ];
    await question(client, middle.url);
    const plain = middle.requests.at(-1)!;
    const before = count();
    // Not every question has a repository, or a body.
    const real = changes.filter((change) => JSON.stringify(change(plain)) !== JSON.stringify(plain));
    assert.ok(real.length >= 3);
    for (const change of real) {
      middle.request = change;
      await assert.rejects(question(client, middle.url), failsAs("unreachable"));
    }
    assert.equal(count(), before);
  });

  test(`an answer to ${name} that was changed on its way counts for nothing`, async (t) => {
    const { middle, client } = await overheard(t);
    await client.hello(middle.url, "n2");
    const facts = (change: (text: string) => string) => (answer: Asked) =>
      withHeader(answer, answerHeader, change(header(answer, answerHeader)));
    const changes: readonly ((answer: Asked) => Asked)[] = [
      (answer) => ({ ...answer, status: answer.status === 200 ? 203 : 200 }),
      facts((text) => text.replace('"public"', '"linked"').replace('"n2"', '"n3"')),
      facts((text) => text.replace("}", ',"error":{"code":"missing"}}')),
      (answer) => withHeader(answer, macHeader, "A".repeat(43)),
      (answer) => withHeader(answer, macHeader, undefined),
      (answer) => ({ ...answer, status: 404, headers: { "content-length": "0" }, body: Buffer.alloc(0) }),
    ];
    for (const change of changes) {
      middle.answer = change;
      await assert.rejects(question(client, middle.url), failsAs("unreachable"));
    }
  });

  test(`a recorded answer to ${name} answers no other request`, async (t) => {
    const { middle, client } = await overheard(t);
    await client.hello(middle.url, "n2");
    await question(client, middle.url);
    const recorded = middle.answers.at(-1)!;
    middle.answer = () => recorded;
    await assert.rejects(question(client, middle.url), failsAs("unreachable"));
  });
}

test("a tag is not poisoned by who changes the text of the answer", async (t) => {
  const { middle, client } = await overheard(t);
  const evil = digestOf(Buffer.from("evil"));
  middle.answer = (answer) => ({ ...answer, body: Buffer.from(answer.body.toString().replace(digest, evil)) });
  await assert.rejects(client.manifests.resolve("n2", repository, latest), failsAs("unreachable"));
});

test("who names his own address for a member's does not come between the two", async (t) => {
  const { service, count } = open();
  const peer = await startPeer(t, { service, trust });
  const middle = await startMiddle(t);
  middle.peerUrl = peer.url;
  const client = clientFor(t, { trust, urls: { n2: middle.url } });
  for (const question of Object.values(questions))
    await assert.rejects(question(client, middle.url), failsAs("unreachable"));
  assert.equal(count(), 0);
  assert.ok(client.reports.every((report) => report === "n2 refused"));
});

test("a request for one node is not served by another", async (t) => {
  for (const both of [trust, {}]) {
    const { service, count } = open();
    const peer = await startPeer(t, { service, trust: both, id: "n7" });
    const client = clientFor(t, { trust: both, urls: { n2: peer.url } });
    await assert.rejects(client.manifests.get("n2", repository, digest), failsAs("unreachable"));
    await assert.rejects(client.purge("n2", { repository, atMs: realClock.now() }), failsAs("unreachable"));
    assert.equal(count(), 0);
  }
});

test("after a restart a peer is believed at once, and what was recorded before is still refused", async (t) => {
  const before = await overheard(t);
  await questions["get"]?.(before.client, before.middle.url);
  const { service, count } = open();
  const peer = await startPeer(t, { service, trust, url: before.middle.url });
  before.middle.peerUrl = peer.url;
  for (const seen of before.middle.requests) assert.equal((await replay(peer.url, seen)).body.length, 0);
  assert.equal(count(), 0);
  await questions["get"]?.(before.client, before.middle.url);
  assert.equal(count(), 1);
});

test("a secret is replaced while both are in use", async (t) => {
  const { service } = open();
  const theirs = { list: ["new", "old"] };
  const ours = { list: ["old"] };
  const peer = await startPeer(t, { service, trust: { secrets: () => theirs.list } });
  const client = clientFor(t, { trust: { secrets: () => ours.list }, urls: { n2: peer.url } });
  await client.manifests.get("n2", repository, digest);
  ours.list = ["new", "old"];
  await client.manifests.get("n2", repository, digest);
  theirs.list = ["new"];
  await client.manifests.get("n2", repository, digest);
  ours.list = ["old"];
  await assert.rejects(client.manifests.get("n2", repository, digest), failsAs("unreachable"));
});
