import assert from "node:assert/strict";
import { test } from "node:test";
import { digestOf } from "../assert.ts";
import { mediaTypes } from "./images.ts";
import { clientOf, errorCode, hubFor } from "./test-client.ts";

const repository = "library/alpine";
const { dockerList, dockerManifest, ociManifest } = mediaTypes;

test("a manifest has the same headers on HEAD as on GET, and its bytes are its digest's", async (t) => {
  const hub = await hubFor(t);
  const image = hub.content.addImage({ repository, tag: "3", layers: [10, 20] });
  const client = await clientOf(hub, repository);
  const [head, get] = [await client.head("manifests/3"), await client.get(`manifests/${image.digest}`)];
  for (const { status, headers } of [head, get]) {
    assert.equal(status, 200);
    assert.equal(headers["content-type"], ociManifest);
    assert.equal(headers["content-length"], `${image.size}`);
    assert.equal(headers["docker-content-digest"], image.digest);
    assert.equal(headers.etag, `"${image.digest}"`);
    assert.equal(headers["docker-distribution-api-version"], "registry/2.0");
  }
  assert.equal(head.body.length, 0);
  assert.equal(await digestOf(get.body), image.digest);
});

test("an unknown tag or digest is 404 MANIFEST_UNKNOWN", async (t) => {
  const hub = await hubFor(t);
  hub.content.addImage({ repository, tag: "3", layers: [] });
  const client = await clientOf(hub, repository);
  for (const reference of ["4", `sha256:${"0".repeat(64)}`]) {
    const missing = await client.get(`manifests/${reference}`);
    assert.deepEqual([missing.status, errorCode(missing)], [404, "MANIFEST_UNKNOWN"]);
  }
});

test("a tag moves, digests stay, and what is removed is gone", async (t) => {
  const hub = await hubFor(t);
  const [old, fresh] = [1, 2].map((size) => hub.content.addImage({ repository, tag: "3", layers: [size] }));
  const client = await clientOf(hub, repository);
  const digestNow = async () => (await client.head("manifests/3")).headers["docker-content-digest"];
  assert.equal(await digestNow(), fresh?.digest);
  hub.content.moveTag(repository, "3", old?.digest ?? "");
  assert.equal(await digestNow(), old?.digest);
  assert.equal((await client.get(`manifests/${fresh?.digest}`)).status, 200);
  hub.content.removeManifest(repository, fresh?.digest ?? "");
  assert.equal((await client.get(`manifests/${fresh?.digest}`)).status, 404);
  hub.content.removeTag(repository, "3");
  assert.equal((await client.head("manifests/3")).status, 404);
});

test("an OCI type that Accept does not name is 404, and wildcards name none", async (t) => {
  const hub = await hubFor(t);
  hub.content.addIndex({ repository, tag: "index", platforms: ["linux/amd64"] });
  hub.content.addImage({ repository, tag: "image", layers: [] });
  const client = await clientOf(hub, repository);
  const get = async (tag: string, accept: string) => client.get(`manifests/${tag}`, { headers: { accept } });
  const index = await get("index", `${dockerList}, */*`);
  assert.equal(index.status, 404);
  assert.match(index.body.toString(), /OCI index found, but accept header does not support OCI indexes/);
  assert.match((await get("image", dockerManifest)).body.toString(), /OCI manifest found/);
  assert.equal((await get("image", `${ociManifest};q=0.5`)).status, 200);
  hub.knobs.acceptSensitive = false;
  assert.equal((await get("index", "*/*")).status, 200);
});

test("a schema 2 manifest may be downgraded to schema 1, whose digest is not that of its bytes", async (t) => {
  const hub = await hubFor(t, { schema1Downgrade: true });
  const image = hub.content.addImage({ repository, tag: "3", layers: [5], format: "docker" });
  const client = await clientOf(hub, repository);
  const old = await client.get("manifests/3", { headers: { accept: "*/*" } });
  assert.equal(old.headers["content-type"], mediaTypes.dockerSchema1);
  const document = JSON.parse(old.body.toString()) as { schemaVersion: number; fsLayers: unknown };
  assert.deepEqual([document.schemaVersion, document.fsLayers], [1, [{ blobSum: image.layers[0]?.digest }]]);
  assert.notEqual(old.headers["docker-content-digest"], image.digest);
  assert.notEqual(old.headers["docker-content-digest"], await digestOf(old.body));
  assert.equal((await client.get("manifests/3")).headers["docker-content-digest"], image.digest);
});

test("an index asked by tag without its type may become its linux/amd64 child", async (t) => {
  const hub = await hubFor(t, { childForIndex: true });
  const platforms = ["linux/arm64", "linux/amd64"];
  const index = hub.content.addIndex({ repository, tag: "3", platforms, format: "docker" });
  const client = await clientOf(hub, repository);
  const { headers } = await client.get("manifests/3", { headers: { accept: dockerManifest } });
  assert.equal(headers["docker-content-digest"], index.images["linux/amd64"]?.digest);
});

test("the digest header, the length and HEAD can be missing", async (t) => {
  const hub = await hubFor(t, { manifestDigestHeader: false, manifestContentLength: false });
  const image = hub.content.addImage({ repository, tag: "3", layers: [] });
  const client = await clientOf(hub, repository);
  for (const { headers } of [await client.head("manifests/3"), await client.get("manifests/3")]) {
    assert.equal(headers["docker-content-digest"], undefined);
    assert.equal(headers["content-length"], undefined);
  }
  assert.equal(await digestOf((await client.get("manifests/3")).body), image.digest);
  hub.knobs.manifestHeadStatus = 405;
  assert.equal((await client.head("manifests/3")).status, 405);
});

test("manifests of any bytes, type and algorithm are served as they were added", async (t) => {
  const hub = await hubFor(t);
  const bytes = Buffer.from('{ "not": "canonical" }\n');
  const mediaType = "application/vnd.example.odd+json";
  const odd = hub.content.addManifest({ repository, bytes, mediaType, tag: "odd", algorithm: "sha512" });
  const client = await clientOf(hub, repository);
  const { headers, body } = await client.get(`manifests/${odd.digest}`);
  assert.equal(headers["content-type"], mediaType);
  assert.equal(odd.digest, await digestOf(body, "sha512"));
  assert.ok(body.equals(bytes));
});

test("other methods are refused as unsupported", async (t) => {
  const hub = await hubFor(t);
  hub.content.addImage({ repository, tag: "3", layers: [] });
  const client = await clientOf(hub, repository);
  const refused = await client.get("manifests/3", { method: "DELETE" });
  assert.deepEqual([refused.status, errorCode(refused)], [405, "UNSUPPORTED"]);
});
