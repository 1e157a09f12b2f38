import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import { ask } from "../ask.ts";
import { networkOf } from "./quota.ts";
import { acceptAll, clientOf, errorCode, hubFor, tokenFor } from "./test-client.ts";

const repository = "library/alpine";
const platforms = ["linux/amd64", "linux/arm64"];

test("a manifest GET counts, by tag and by digest; HEADs, blobs and lists are free", async (t) => {
  const hub = await hubFor(t);
  const image = hub.content.addImage({ repository, tag: "3", layers: [100] });
  const client = await clientOf(hub, repository);
  await client.head("manifests/3");
  await client.get(`blobs/${image.config.digest}`);
  await client.get("tags/list");
  assert.equal(hub.quota.remaining(), 100);
  await client.get("manifests/3");
  const last = await client.get(`manifests/${image.digest}`);
  assert.equal(hub.quota.remaining(), 98);
  assert.equal(last.headers["ratelimit-limit"], "100;w=21600");
  assert.equal(last.headers["ratelimit-remaining"], "98;w=21600");
  assert.equal(last.headers["docker-ratelimit-source"], "127.0.0.1");
  assert.equal(hub.ledger.count({ counted: true }), 2);
});

for (const [count, left] of [
  ["every-get", 97],
  ["every-2nd-get", 99],
  ["leaf-only", 98],
] as const) {
  test(`an index and two children leave ${left} of 100 when ${count} counts`, async (t) => {
    const hub = await hubFor(t, { count });
    const index = hub.content.addIndex({ repository, tag: "3", platforms });
    const client = await clientOf(hub, repository);
    await client.get("manifests/3");
    for (const child of Object.values(index.images)) await client.get(`manifests/${child.digest}`);
    assert.equal(hub.quota.remaining(), left);
    assert.equal(hub.ledger.count({ counted: true }), 100 - left);
  });
}

test("a spent quota refuses GETs with 429 and still answers HEADs and blobs, until the window ends", async (t) => {
  const hub = await hubFor(t, { anonymousLimit: 1, anonymousWindowSec: 100 });
  const image = hub.content.addImage({ repository, tag: "3", layers: [100] });
  const client = await clientOf(hub, repository);
  assert.equal((await client.get("manifests/3")).status, 200);
  const refused = await client.get(`manifests/${image.digest}`);
  assert.equal(refused.status, 429);
  assert.equal(errorCode(refused), "TOOMANYREQUESTS");
  assert.match(refused.body.toString(), /You have reached your unauthenticated pull rate limit/);
  assert.equal(refused.headers["ratelimit-remaining"], "0;w=100");
  assert.equal(refused.headers["retry-after"], undefined);
  const head = await client.head("manifests/3");
  assert.deepEqual([head.status, head.headers["ratelimit-remaining"]], [200, "0;w=100"]);
  assert.equal((await client.get(`blobs/${image.config.digest}`)).status, 307);
  hub.knobs.pullLimitRetryAfterSec = 7;
  assert.equal((await client.get("manifests/3")).headers["retry-after"], "7");
  hub.advance(100_000);
  assert.equal((await client.get("manifests/3")).status, 200);
});

test("accounts and addresses have budgets of their own", async (t) => {
  const accounts = [{ username: "ci", password: "secret", limit: 10, windowSec: 60 }];
  const hub = await hubFor(t, { accounts });
  hub.content.addImage({ repository, tag: "3", layers: [] });
  const client = await clientOf(hub, repository, accounts[0]);
  const charged = await client.get("manifests/3");
  assert.equal(charged.headers["ratelimit-remaining"], "9;w=60");
  assert.match(charged.headers["docker-ratelimit-source"] as string, /^[0-9a-f]{8}-[0-9a-f]{4}-/);
  await (await clientOf(hub, repository)).get("manifests/3", { localAddress: "127.0.0.2" });
  assert.equal(hub.quota.remaining({ account: "ci" }), 9);
  assert.equal(hub.quota.remaining({ address: "127.0.0.2" }), 99);
  assert.equal(hub.quota.remaining(), 100);
});

test("a paid account and an exempt repository have no limit and no headers of one", async (t) => {
  const accounts = [{ username: "ci", password: "secret", plan: "paid" as const }];
  const hub = await hubFor(t, { accounts, exemptRepositories: ["library/free"] });
  hub.content.addImage({ repository, tag: "3", layers: [] });
  hub.content.addImage({ repository: "library/free", tag: "3", layers: [] });
  hub.quota.setRemaining(0);
  const paid = await (await clientOf(hub, repository, accounts[0])).get("manifests/3");
  const exempt = await (await clientOf(hub, "library/free")).get("manifests/3");
  for (const { status, headers } of [paid, exempt]) {
    assert.equal(status, 200);
    assert.equal(headers["ratelimit-limit"], undefined);
    assert.ok(headers["docker-ratelimit-source"]);
  }
  assert.equal(hub.quota.remaining({ account: "ci" }), undefined);
  assert.equal(hub.ledger.count({ counted: true }), 0);
});

test("whether a GET of what does not exist counts can be chosen", async (t) => {
  const hub = await hubFor(t);
  hub.content.addImage({ repository, tag: "3", layers: [] });
  const client = await clientOf(hub, repository);
  assert.equal((await client.get("manifests/absent")).status, 404);
  assert.equal(hub.quota.remaining(), 100);
  hub.knobs.countMissing = true;
  assert.equal((await client.get("manifests/absent")).status, 404);
  assert.equal(hub.quota.remaining(), 99);
});

test("IPv6 is charged by /64", () => {
  assert.equal(networkOf("2001:41d0:801:2000:1:2:3:4"), "2001:41d0:801:2000::");
  assert.equal(networkOf("2600:3c00::1"), "2600:3c00:0:0::");
  assert.equal(networkOf("::1"), "0:0:0:0::");
  assert.equal(networkOf("127.0.0.1"), "127.0.0.1");
});

test("the abuse limit answers everything 429, in plain text", async (t) => {
  const hub = await hubFor(t, { abuse: { retryAfterSec: 60, bareLf: false, text: "Too Many Requests" } });
  for (const url of [`${hub.url}/v2/`, `${hub.url}/v2/a/blobs/sha256:0`, `${hub.tokenOrigin}/token`]) {
    const { status, headers, body } = await ask(url);
    assert.deepEqual([status, headers["content-type"], headers["retry-after"]], [429, "text/plain", "60"]);
    assert.equal(body.toString(), "Too Many Requests\n");
  }
  hub.knobs.abuse = undefined;
  assert.equal((await ask(`${hub.url}/v2/`)).status, 401);
});

test("the abuse limit comes by itself above a rate", async (t) => {
  const hub = await hubFor(t, { abuseRequestsPerMinute: 2 });
  hub.content.addImage({ repository, tag: "3", layers: [] });
  const authorization = `Bearer ${await tokenFor(hub, repository)}`;
  const head = async () =>
    ask(`${hub.url}/v2/${repository}/manifests/3`, { method: "HEAD", headers: { authorization, accept: acceptAll } });
  assert.deepEqual([(await head()).status, (await head()).status], [200, 429]);
  hub.advance(60_000);
  assert.equal((await head()).status, 200);
});

test("the old abuse answer ends its lines by LF alone, which Node's parser refuses", async (t) => {
  const hub = await hubFor(t, { abuse: { retryAfterSec: 60, bareLf: true, text: "Too Many Requests (HAP429)." } });
  const socket = connect(Number(new URL(hub.url).port), "127.0.0.1");
  socket.end("GET /v2/ HTTP/1.1\r\nHost: hub\r\n\r\n");
  const text = Buffer.concat(await socket.toArray()).toString();
  assert.equal(
    text,
    "HTTP/1.1 429 Too Many Requests\nContent-Type: text/plain\nRetry-After: 60\nConnection: close\n\n" +
      "Too Many Requests (HAP429).\n",
  );
  await assert.rejects(ask(`${hub.url}/v2/`), { code: "HPE_CR_EXPECTED" });
  assert.equal(hub.ledger.count({ kind: "ping", status: 429 }), 2);
});
