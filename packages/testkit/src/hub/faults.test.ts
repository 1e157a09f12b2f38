import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { gunzipSync } from "node:zlib";
import { ask, type Asked } from "../ask.ts";
import { digestOf } from "../assert.ts";
import type { Fault } from "./faults.ts";
import { startHub } from "./hub.ts";
import { hubProfiles } from "./profiles.ts";
import { clientOf, hubFor, tokenFor } from "./test-client.ts";

const repository = "library/alpine";
const size = 1_000_000;

/** An open registry with one blob that meets the fault once. */
async function faulty(t: TestContext, fault: Fault) {
  const hub = await hubFor(t, { ...hubProfiles.open });
  const { digest } = hub.content.addBlob({ repository, size });
  const url = `${hub.url}/v2/${repository}/blobs/${digest}`;
  const whole = (await ask(url)).body;
  hub.faults.add({ kind: ["blob_get", "blob_range"] }, fault);
  hub.ledger.clear();
  return { hub, digest, url, whole };
}

test("a status comes once, then the truth", async (t) => {
  const { url, whole } = await faulty(t, { status: 503, headers: { "retry-after": "1" }, body: "down" });
  const { status, headers, body } = await ask(url);
  assert.deepEqual([status, headers["retry-after"], body.toString()], [503, "1", "down"]);
  assert.ok((await ask(url)).body.equals(whole));
});

test("a rule meets as many requests as it says, behind as many as it says", async (t) => {
  const hub = await hubFor(t, { ...hubProfiles.open });
  hub.content.addImage({ repository, tag: "3", layers: [] });
  const statuses = async (count: number) => {
    const answers: number[] = [];
    for (let index = 0; index < count; index++) answers.push((await ask(`${hub.url}/v2/`)).status);
    return answers;
  };
  const twice = hub.faults.add({ kind: "ping", skip: 1, times: 2 }, { status: 500 });
  assert.deepEqual(await statuses(4), [200, 500, 500, 200]);
  assert.equal(twice.hits, 2);
  const always = hub.faults.add({ kind: "ping", times: "always" }, { status: 502 });
  assert.deepEqual(await statuses(3), [502, 502, 502]);
  always.remove();
  assert.deepEqual(await statuses(1), [200]);
  hub.faults.add({ repository: "library/other", times: "always" }, { status: 500 });
  hub.faults.add({ reference: "4", times: "always" }, { status: 500 });
  assert.equal((await ask(`${hub.url}/v2/${repository}/tags/list`)).status, 200);
});

test("a fault waits for a request that has got past authorization, unless told otherwise", async (t) => {
  const hub = await hubFor(t);
  hub.content.addImage({ repository, tag: "3", layers: [] });
  hub.faults.add({ kind: "manifest_get" }, { status: 500 });
  const url = `${hub.url}/v2/${repository}/manifests/3`;
  assert.equal((await ask(url)).status, 401);
  assert.equal((await (await clientOf(hub, repository)).get("manifests/3")).status, 500);
  assert.equal(hub.quota.remaining(), 100, "what the hub did not serve it does not charge");
  hub.faults.add({ kind: "manifest_get", beforeAuth: true }, { status: 500 });
  assert.equal((await ask(url)).status, 500);
  hub.faults.add({ kind: "token" }, { status: 503 });
  await assert.rejects(tokenFor(hub, repository));
});

for (const framing of ["length", "chunked"] as const) {
  test(`a body framed by ${framing} is cut after N bytes by FIN`, async (t) => {
    const { hub, url, whole } = await faulty(t, { cutAfterBytes: 300_001, framing });
    const { status, body, broke } = await ask(url);
    assert.deepEqual([status, broke], [200, "ECONNRESET"]);
    assert.ok(body.equals(whole.subarray(0, 300_001)));
    assert.equal((await hub.ledger.until({ done: true })).bytesSent, 300_001);
  });
}

test("a body without length that is cut looks complete", async (t) => {
  const { url } = await faulty(t, { cutAfterBytes: 10, framing: "close" });
  const { headers, body, broke } = await ask(url);
  assert.deepEqual([body.length, broke, headers["content-length"]], [10, undefined, undefined]);
});

test("a body may be cut before its first byte", async (t) => {
  const { url } = await faulty(t, { cutAfterBytes: 0 });
  const { status, headers, body, broke } = await ask(url);
  assert.deepEqual([status, headers["content-length"], body.length, broke], [200, `${size}`, 0, "ECONNRESET"]);
});

test("a body is cut by RST", async (t) => {
  const { url, whole } = await faulty(t, { cutAfterBytes: 100_000, cutBy: "rst" });
  const { body, broke } = await ask(url);
  assert.equal(broke, "ECONNRESET");
  assert.ok(body.length <= 100_000 && body.equals(whole.subarray(0, body.length)));
});

test("a body stalls until the client leaves", async (t) => {
  const { hub, url } = await faulty(t, { stallAfterBytes: 5_000 });
  const stalled = hub.ledger.until(({ bytesSent, done }) => bytesSent === 5_000 && !done);
  const { body } = await ask(url, { readBytesMax: 5_000 });
  assert.equal(body.length, 5_000);
  await stalled;
  await hub.ledger.until({ done: true });
});

test("a body drips", async (t) => {
  const { url, whole } = await faulty(t, { dripBytesPerSec: 10_000_000 });
  const startedAt = performance.now();
  assert.ok((await ask(url)).body.equals(whole));
  assert.ok(performance.now() - startedAt >= 60, "1 MB at 10 MB/s");
});

test("one byte is wrong, at its offset in the whole blob, in ranges too", async (t) => {
  const { hub, url, whole, digest } = await faulty(t, { corruptAt: 700_000 });
  const { body } = await ask(url);
  assert.equal(body.length, size);
  assert.notEqual(await digestOf(body), digest);
  assert.ok(body.subarray(0, 700_000).equals(whole.subarray(0, 700_000)));
  assert.ok(body.subarray(700_001).equals(whole.subarray(700_001)));
  hub.faults.add({ kind: "blob_range" }, { corruptAt: 700_000 });
  const part = await ask(url, { headers: { range: "bytes=699999-700001" } });
  assert.notEqual(part.body[1], whole[700_000]);
  assert.deepEqual([part.body[0], part.body[2]], [whole[699_999], whole[700_001]]);
});

test("a length is declared too long or too short", async (t) => {
  const { hub, url } = await faulty(t, { contentLengthDelta: 5 });
  const long = await ask(url);
  assert.deepEqual([long.headers["content-length"], long.body.length, long.broke], ["1000005", size, "ECONNRESET"]);
  hub.faults.add({ kind: "blob_get" }, { contentLengthDelta: -5 });
  const short = await ask(url);
  assert.deepEqual([short.headers["content-length"], short.body.length], ["999995", 999_995]);
});

test("a body comes gzipped though nobody asked", async (t) => {
  const { url, whole } = await faulty(t, { gzip: true });
  const { headers, body } = await ask(url);
  assert.equal(headers["content-encoding"], "gzip");
  assert.ok(gunzipSync(body).equals(whole));
});

test("redirects go where the script says, one after the other, or in a loop", async (t) => {
  const { hub, url } = await faulty(t, { redirectLoop: true });
  const location = ({ headers }: Asked) => headers.location;
  assert.equal(new URL(location(await ask(url)) ?? "", url).href, url);
  const targets = ["http://127.0.0.9/a", "http://127.0.0.9/b"];
  hub.faults.add({ kind: "blob_get", times: 3 }, { redirectTo: targets, redirectStatus: 308 });
  const seen = [await ask(url), await ask(url), await ask(url)];
  assert.deepEqual(seen.map(location), [targets[0], targets[1], targets[1]]);
  assert.equal(seen[0]?.status, 308);
});

test("a range is answered with everything, or with a Content-Range that lies", async (t) => {
  const { hub, url } = await faulty(t, { ignoreRange: true });
  const headers = { range: "bytes=10-19" };
  const everything = await ask(url, { headers });
  assert.deepEqual([everything.status, everything.body.length], [200, size]);
  hub.faults.add({ kind: "blob_range" }, { contentRange: "bytes 0-9/1000000" });
  const lie = await ask(url, { headers });
  assert.deepEqual([lie.status, lie.headers["content-range"], lie.body.length], [206, "bytes 0-9/1000000", 10]);
});

for (const close of ["fin", "rst"] as const) {
  test(`a connection ends by ${close} without an answer`, async (t) => {
    const { hub, url } = await faulty(t, { close });
    await assert.rejects(ask(url), { code: "ECONNRESET" });
    assert.equal((await hub.ledger.until({ done: true })).status, 0);
  });
}

test("no answer comes at all, until the client leaves", async (t) => {
  const { hub, url } = await faulty(t, { hang: true });
  const client = new AbortController();
  const asked = ask(url, { signal: client.signal });
  const entry = await hub.ledger.until({ kind: "blob_get" });
  assert.deepEqual([entry.status, entry.done], [0, false]);
  client.abort();
  await assert.rejects(asked, { name: "AbortError" });
  await hub.ledger.until({ done: true });
});

test("headers are missing or wrong", async (t) => {
  const hub = await hubFor(t, { ...hubProfiles.open });
  hub.content.addImage({ repository, tag: "3", layers: [], format: "docker" });
  hub.knobs.acceptSensitive = false;
  const url = `${hub.url}/v2/${repository}/manifests/3`;
  const digest = `sha256:${"0".repeat(64)}`;
  hub.faults.add({ kind: "manifest_head" }, { headers: { "docker-content-digest": null } });
  hub.faults.add(
    { kind: "manifest_get" },
    { headers: { "docker-content-digest": digest, "content-type": "text/html" } },
  );
  assert.equal((await ask(url, { method: "HEAD" })).headers["docker-content-digest"], undefined);
  const { headers } = await ask(url);
  assert.deepEqual([headers["docker-content-digest"], headers["content-type"]], [digest, "text/html"]);
});

test("CDN requests meet faults as the others do", async (t) => {
  const hub = await hubFor(t, { redirectCdn: 1 });
  const { digest } = hub.content.addBlob({ repository, size });
  hub.faults.add({ origin: "cdn1", reference: digest }, { cutAfterBytes: 7 });
  const { headers } = await (await clientOf(hub, repository)).get(`blobs/${digest}`);
  assert.equal((await ask(headers.location ?? "")).body.length, 7);
  assert.equal(await digestOf((await ask(headers.location ?? "")).body), digest);
});

test("closing the hub ends what hangs", async () => {
  const hub = await startHub();
  hub.faults.add({ kind: "ping", beforeAuth: true }, { hang: true });
  const asked = ask(`${hub.url}/v2/`);
  await Promise.all([
    assert.rejects(asked, { code: "ECONNRESET" }),
    hub.ledger.until({ kind: "ping" }).then(async () => hub.close()),
  ]);
});
