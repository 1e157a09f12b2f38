import assert from "node:assert/strict";
import { test } from "node:test";
import { ask } from "../ask.ts";
import { digestOf } from "../assert.ts";
import { testCertificates } from "../certificates/certificates.ts";
import { startHub } from "./hub.ts";
import { hubProfiles } from "./profiles.ts";
import { clientOf, errorCode, hubFor, signedUrl, tokenFor } from "./test-client.ts";

const repository = "library/alpine";

test("a blob is redirected to a CDN by a signed address, and its bytes are its digest's", async (t) => {
  const hub = await hubFor(t);
  const client = await clientOf(hub, repository);
  hub.content.addRepository({ repository });
  for (const size of [0, 1, 4095, 4097, 3_000_001]) {
    const blob = hub.content.addBlob({ repository, size });
    const redirect = await (await clientOf(hub, repository)).get(`blobs/${blob.digest}`);
    assert.deepEqual([redirect.status, redirect.headers["content-length"]], [307, "0"]);
    const { status, headers, body } = await ask(redirect.headers.location ?? "");
    assert.deepEqual([status, body.length, headers["content-length"]], [200, size, `${size}`]);
    assert.equal(await digestOf(body), blob.digest);
    assert.equal(headers["docker-content-digest"], undefined);
    assert.match(headers.etag ?? "", /^"[0-9a-f]{32}"$/);
  }
  assert.equal((await client.get("blobs/sha256:0")).status, 401);
});

test("redirects alternate between the CDNs unless one is chosen", async (t) => {
  const hub = await hubFor(t);
  const { digest } = hub.content.addBlob({ repository, size: 10 });
  const origins = async () => {
    const urls = [await signedUrl(hub, repository, digest), await signedUrl(hub, repository, digest)];
    return urls.map((url) => new URL(url).origin);
  };
  assert.deepEqual(await origins(), hub.cdnOrigins);
  hub.knobs.redirectCdn = 1;
  assert.deepEqual(await origins(), [hub.cdnOrigins[1], hub.cdnOrigins[1]]);
});

test("a signed address expires, and is good for its own CDN only", async (t) => {
  const hub = await hubFor(t, { redirectTtlSec: 5, redirectCdn: 0 });
  const { digest } = hub.content.addBlob({ repository, size: 10 });
  const url = await signedUrl(hub, repository, digest);
  assert.equal((await ask(url)).status, 200);
  assert.equal((await ask(url.replace(hub.cdnOrigins[0], hub.cdnOrigins[1]))).status, 403);
  assert.equal((await ask(url.replace("verify=", "verify=1"))).status, 403);
  hub.advance(6_000);
  assert.equal((await ask(url)).status, 403);
});

test("a CDN answers 400 to Authorization and 403 to HEAD, and the ledger shows both", async (t) => {
  const hub = await hubFor(t);
  const { digest } = hub.content.addBlob({ repository, size: 10 });
  const url = await signedUrl(hub, repository, digest);
  assert.equal((await ask(url, { headers: { authorization: "Bearer x" } })).status, 400);
  assert.equal((await ask(url, { method: "HEAD" })).status, 403);
  assert.equal(hub.ledger.count({ kind: "cdn_get", authorization: "bearer", status: 400 }), 1);
  hub.knobs.cdnHeadStatus = 200;
  hub.knobs.cdnRefusesAuthorization = false;
  assert.equal((await ask(url, { method: "HEAD" })).headers["content-length"], "10");
  assert.equal((await ask(url, { headers: { authorization: "Bearer x" } })).status, 200);
});

test("single ranges are exact, unsatisfiable ones 416, meaningless ones ignored", async (t) => {
  const hub = await hubFor(t);
  const { digest } = hub.content.addBlob({ repository, size: 10_000 });
  const url = await signedUrl(hub, repository, digest);
  const whole = (await ask(url)).body;
  const cases: [string, number, string | undefined, Buffer | undefined][] = [
    ["bytes=0-0", 206, "bytes 0-0/10000", whole.subarray(0, 1)],
    ["bytes=4090-4100", 206, "bytes 4090-4100/10000", whole.subarray(4090, 4101)],
    ["bytes=9000-", 206, "bytes 9000-9999/10000", whole.subarray(9000)],
    ["bytes=-5", 206, "bytes 9995-9999/10000", whole.subarray(9995)],
    ["bytes=-50000", 206, "bytes 0-9999/10000", whole],
    ["bytes=9000-50000", 206, "bytes 9000-9999/10000", whole.subarray(9000)],
    ["bytes=10000-", 416, "bytes */10000", undefined],
    ["bytes=500-0", 200, undefined, whole],
    ["lines=1-2", 200, undefined, whole],
  ];
  for (const [range, status, contentRange, bytes] of cases) {
    const answer = await ask(url, { headers: { range } });
    assert.deepEqual([answer.status, answer.headers["content-range"]], [status, contentRange], range);
    assert.ok(bytes === undefined || answer.body.equals(bytes), range);
  }
  assert.equal(hub.ledger.count({ kind: "cdn_range" }), cases.length);
  hub.knobs.cdnRanges = false;
  assert.equal((await ask(url, { headers: { range: "bytes=0-0" } })).status, 200);
});

test("several ranges get 400, everything, or parts", async (t) => {
  const hub = await hubFor(t);
  const { digest } = hub.content.addBlob({ repository, bytes: Buffer.from("0123456789") });
  const url = await signedUrl(hub, repository, digest);
  const get = async () => ask(url, { headers: { range: "bytes=0-1,5-" } });
  assert.equal((await get()).status, 400);
  hub.knobs.cdnMultiRange = 200;
  assert.equal((await get()).body.toString(), "0123456789");
  hub.knobs.cdnMultiRange = "multipart";
  const { status, headers, body } = await get();
  assert.equal(status, 206);
  assert.equal(headers["content-range"], undefined);
  const boundary = /^multipart\/byteranges; boundary=(.+)$/.exec(headers["content-type"] ?? "")?.[1] ?? "";
  const parts = body.toString().split(`--${boundary}`);
  assert.match(parts[1] ?? "", /Content-Range: bytes 0-1\/10\r\n\r\n01\r\n$/);
  assert.match(parts[2] ?? "", /Content-Range: bytes 5-9\/10\r\n\r\n56789\r\n$/);
  assert.equal(parts[3], "--\r\n");
});

test("an unknown blob is 404 BLOB_UNKNOWN", async (t) => {
  const hub = await hubFor(t);
  hub.content.addRepository({ repository });
  const missing = await (await clientOf(hub, repository)).get(`blobs/sha256:${"0".repeat(64)}`);
  assert.deepEqual([missing.status, errorCode(missing)], [404, "BLOB_UNKNOWN"]);
});

test("a relative redirect stays on the registry and wants the token again", async (t) => {
  const hub = await hubFor(t, { ...hubProfiles.gcr });
  const { digest } = hub.content.addBlob({ repository, size: 10 });
  const client = await clientOf(hub, repository);
  const { status, headers } = await client.get(`blobs/${digest}`);
  assert.equal(status, 302);
  assert.match(headers.location ?? "", /^\/artifacts-downloads\//);
  const url = new URL(headers.location ?? "", hub.url).href;
  assert.equal((await ask(url)).status, 401);
  const authorization = `Bearer ${await tokenFor(hub, repository)}`;
  const blob = await ask(url, { headers: { authorization } });
  assert.equal(await digestOf(blob.body), digest);
});

test("a registry may send blobs itself, or answer HEAD itself, or refuse it", async (t) => {
  const hub = await hubFor(t, { ...hubProfiles.quay });
  const { digest } = hub.content.addBlob({ repository, size: 10 });
  const client = await clientOf(hub, repository);
  const redirect = await client.get(`blobs/${digest}`);
  assert.deepEqual([redirect.status, redirect.headers["docker-content-digest"]], [302, digest]);
  assert.match(redirect.body.toString(), /<html>/);
  const head = await client.head(`blobs/${digest}`);
  assert.deepEqual([head.status, head.headers["content-length"], head.headers["accept-ranges"]], [200, "10", "bytes"]);
  hub.knobs.redirect = false;
  assert.equal(await digestOf((await client.get(`blobs/${digest}`)).body), digest);
  hub.knobs.blobContentLength = false;
  const chunked = await client.get(`blobs/${digest}`);
  assert.deepEqual([chunked.headers["content-length"], chunked.headers["transfer-encoding"]], [undefined, "chunked"]);
  hub.knobs.blobHead = 401;
  assert.equal((await client.head(`blobs/${digest}`)).status, 401);
});

test("a registry may redirect everything elsewhere", async (t) => {
  const elsewhere = await hubFor(t, { ...hubProfiles.open });
  const hub = await hubFor(t, { ...hubProfiles.k8s, redirectAllTo: elsewhere.url });
  const image = elsewhere.content.addImage({ repository, tag: "3", layers: [] });
  hub.content.addRepository({ repository });
  const { status, headers } = await ask(`${hub.url}/v2/${repository}/manifests/3?ns=registry.k8s.io`);
  assert.deepEqual(
    [status, headers.location],
    [307, `${elsewhere.url}/v2/${repository}/manifests/3?ns=registry.k8s.io`],
  );
  assert.equal((await ask(`${elsewhere.url}/v2/${repository}/blobs/${image.config.digest}`)).status, 200);
  assert.equal((await ask(`${hub.url}/v2/`)).status, 200);
});

test("content is gzipped for those who offer it, where a registry does that", async (t) => {
  const hub = await hubFor(t, { ...hubProfiles.open, gzipWhenAccepted: true });
  const { digest } = hub.content.addBlob({ repository, bytes: Buffer.alloc(5_000) });
  const url = `${hub.url}/v2/${repository}/blobs/${digest}`;
  const { headers, body } = await ask(url, { headers: { "accept-encoding": "gzip" } });
  assert.equal(headers["content-encoding"], "gzip");
  assert.ok(body.length < 100);
  assert.equal((await ask(url, { headers: { "accept-encoding": "identity" } })).body.length, 5_000);
});

test("a paced line takes its time, however many share it", async (t) => {
  const hub = await hubFor(t, { ...hubProfiles.open, bandwidthBytesPerSec: 2_000_000 });
  const { digest } = hub.content.addBlob({ repository, size: 100_000 });
  const url = `${hub.url}/v2/${repository}/blobs/${digest}`;
  const startedAt = performance.now();
  await Promise.all([ask(url), ask(url)]);
  const elapsedMs = performance.now() - startedAt;
  assert.ok(elapsedMs >= 60, `200 KB at 2 MB/s took ${elapsedMs} ms`);
});

test("a hub listens where it is told", async () => {
  const hub = await startHub({ host: "127.0.0.3" });
  assert.match(hub.url, /^http:\/\/127\.0\.0\.3:\d+$/);
  assert.equal((await ask(`${hub.url}/v2/`)).status, 401);
  await hub.close();
  await assert.rejects(ask(`${hub.url}/v2/`), { code: "ECONNREFUSED" });
});

test("with a certificate every origin speaks TLS, and faults still cut", async (t) => {
  const { ca, server } = testCertificates();
  const hub = await hubFor(t, { tls: server });
  const { digest } = hub.content.addBlob({ repository, size: 100_000 });
  const { body } = await ask(`${hub.tokenOrigin}/token?scope=repository:${repository}:pull`, { ca });
  const headers = { authorization: `Bearer ${(JSON.parse(body.toString()) as { token: string }).token}` };
  const redirect = await ask(`${hub.url}/v2/${repository}/blobs/${digest}`, { ca, headers });
  const url = redirect.headers.location ?? "";
  assert.match(url, /^https:/);
  for (const cutBy of ["fin", "rst"] as const) {
    hub.faults.add({ kind: "cdn_get" }, { cutAfterBytes: 50_000, cutBy });
    assert.equal((await ask(url, { ca })).broke, "ECONNRESET");
  }
  assert.equal(await digestOf((await ask(url, { ca })).body), digest);
});
