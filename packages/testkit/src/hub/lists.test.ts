import assert from "node:assert/strict";
import { test } from "node:test";
import type { Asked } from "../ask.ts";
import { fallbackTagOf, mediaTypes } from "./images.ts";
import { clientOf, errorCode, hubFor } from "./test-client.ts";

const repository = "library/alpine";
const artifactType = "application/vnd.example.signature";
const tagsIn = ({ body }: Asked) => (JSON.parse(body.toString()) as { tags: string[] }).tags;
const manifestsIn = ({ body }: Asked) =>
  (JSON.parse(body.toString()) as { manifests: { digest: string; artifactType: string }[] }).manifests;

test("tags come in ASCII order, page by page", async (t) => {
  const hub = await hubFor(t);
  for (const tag of ["b", "latest", "a", "Z"]) hub.content.addImage({ repository, tag, layers: [] });
  const client = await clientOf(hub, repository);
  assert.deepEqual(JSON.parse((await client.get("tags/list")).body.toString()), {
    name: repository,
    tags: ["Z", "a", "b", "latest"],
  });
  const first = await client.get("tags/list?n=3");
  assert.deepEqual(tagsIn(first), ["Z", "a", "b"]);
  assert.equal(first.headers.link, `</v2/${repository}/tags/list?n=3&last=b>; rel="next"`);
  const last = await client.get("tags/list?n=3&last=b");
  assert.deepEqual([tagsIn(last), last.headers.link], [["latest"], undefined]);
  const none = await client.get("tags/list?n=0");
  assert.deepEqual([tagsIn(none), none.headers.link], [[], undefined]);
  assert.equal((await client.get("tags/list?n=x")).status, 400);
});

test("a page is never longer than the hub allows, and its Link may be absolute", async (t) => {
  const hub = await hubFor(t, { tagsPageMax: 1, linkForm: "absolute" });
  for (const tag of ["a", "b"]) hub.content.addImage({ repository, tag, layers: [] });
  const client = await clientOf(hub, repository);
  const page = await client.get("tags/list?n=10");
  assert.deepEqual(tagsIn(page), ["a"]);
  assert.equal(page.headers.link, `<${hub.url}/v2/${repository}/tags/list?n=1&last=a>; rel="next"`);
});

test("referrers are listed for their subject and filtered by artifactType", async (t) => {
  const hub = await hubFor(t);
  const image = hub.content.addImage({ repository, tag: "3", layers: [] });
  const signature = hub.content.addReferrer({ repository, subject: image, artifactType, annotations: { by: "me" } });
  const sbom = hub.content.addReferrer({ repository, subject: image, artifactType: "application/spdx+json" });
  const client = await clientOf(hub, repository);
  const all = await client.get(`referrers/${image.digest}`);
  assert.equal(all.headers["content-type"], mediaTypes.ociIndex);
  assert.deepEqual(
    manifestsIn(all).map(({ digest }) => digest),
    [signature.digest, sbom.digest].sort(),
  );
  const filtered = await client.get(`referrers/${image.digest}?artifactType=${encodeURIComponent(artifactType)}`);
  assert.equal(filtered.headers["oci-filters-applied"], "artifactType");
  const { mediaType, digest, size } = signature;
  assert.deepEqual(manifestsIn(filtered), [{ mediaType, digest, size, artifactType, annotations: { by: "me" } }]);
  assert.deepEqual(manifestsIn(await client.get(`referrers/${sbom.digest}`)), []);
  const malformed = await client.get("referrers/sha256:nonsense");
  assert.deepEqual([malformed.status, errorCode(malformed)], [400, "DIGEST_INVALID"]);
});

test("referrers come in pages too", async (t) => {
  const hub = await hubFor(t, { referrersPageMax: 1 });
  const image = hub.content.addImage({ repository, tag: "3", layers: [] });
  for (let index = 0; index < 2; index++) hub.content.addReferrer({ repository, subject: image, artifactType });
  const client = await clientOf(hub, repository);
  const first = await client.get(`referrers/${image.digest}`);
  const next = /<\/v2\/library\/alpine\/(.+)>; rel="next"/.exec(first.headers.link as string)?.[1];
  const second = await client.get(next ?? "");
  assert.equal(second.headers.link, undefined);
  assert.equal(new Set([...manifestsIn(first), ...manifestsIn(second)].map(({ digest }) => digest)).size, 2);
});

test("without the referrers API there is 404, and a fallback tag where one was made", async (t) => {
  const hub = await hubFor(t, { referrers: false });
  const image = hub.content.addImage({ repository, tag: "3", layers: [] });
  const referrer = hub.content.addReferrer({ repository, subject: image, artifactType, fallbackTag: true });
  const client = await clientOf(hub, repository);
  assert.equal((await client.get(`referrers/${image.digest}`)).status, 404);
  const fallback = await client.get(`manifests/${fallbackTagOf(image.digest)}`);
  assert.deepEqual(
    manifestsIn(fallback).map(({ digest }) => digest),
    [referrer.digest],
  );
});
