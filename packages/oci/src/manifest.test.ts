import assert from "node:assert/strict";
import { test } from "node:test";

import { manifestAccept, mediaTypes, parseManifest } from "./manifest.ts";

const digest = (digit: string): string => `sha256:${digit.repeat(64)}`;
const bytes = (document: unknown): Buffer => Buffer.from(JSON.stringify(document));
const image = {
  schemaVersion: 2,
  mediaType: mediaTypes.ociManifest,
  config: { mediaType: "application/vnd.oci.image.config.v1+json", digest: digest("c"), size: 2 },
  layers: [{ mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", digest: digest("1"), size: 30 }],
  subject: { mediaType: mediaTypes.ociManifest, digest: digest("5"), size: 7 },
};

test("an image names its config and layers, as blobs, and not its subject", () => {
  const manifest = parseManifest(bytes(image), mediaTypes.ociManifest);
  assert.deepEqual(
    manifest?.descriptors.map(({ kind, digest, size }) => [kind, digest, size]),
    [
      ["blob", digest("1"), 30],
      ["blob", digest("c"), 2],
    ],
  );
});

test("an index names its children, as manifests", () => {
  const index = { schemaVersion: 2, manifests: [{ mediaType: mediaTypes.ociManifest, digest: digest("a"), size: 9 }] };
  const manifest = parseManifest(bytes(index));
  assert.equal(manifest?.mediaType, mediaTypes.ociIndex);
  assert.deepEqual(
    manifest?.descriptors.map(({ kind }) => kind),
    ["manifest"],
  );
});

test("the type is the header's, unless that names none", () => {
  assert.equal(
    parseManifest(bytes(image), `${mediaTypes.dockerManifest}; charset=utf-8`)?.mediaType,
    mediaTypes.dockerManifest,
  );
  for (const nothing of [undefined, "", "text/plain", "application/json; charset=utf-8", "text/html"])
    assert.equal(parseManifest(bytes(image), nothing)?.mediaType, mediaTypes.ociManifest);
  const { mediaType: _, ...bare } = image;
  assert.equal(parseManifest(bytes(bare), "text/plain")?.mediaType, mediaTypes.ociManifest);
});

test("schema 1 and what is no JSON object are no manifests", () => {
  for (const text of ["", "[]", "null", "7", "{", '{"schemaVersion":1,"fsLayers":[]}', '{"schemaVersion":2}'])
    assert.equal(parseManifest(Buffer.from(text), "application/json"), undefined, text);
});

test("descriptors that cannot be verified are left out", () => {
  const odd = [
    { digest: "blake3:00", size: 1 },
    { digest: digest("1"), size: -1 },
    { digest: digest("1") },
    null,
    7,
    { digest: digest("2"), size: 0 },
  ];
  const manifest = parseManifest(bytes({ ...image, config: undefined, layers: odd }));
  assert.deepEqual(
    manifest?.descriptors.map(({ digest }) => digest),
    [digest("2")],
  );
});

test("one Accept names every type, and never schema 1", () => {
  for (const type of Object.values(mediaTypes)) assert.ok(manifestAccept.includes(type));
  assert.ok(!manifestAccept.includes("prettyjws") && !manifestAccept.includes("docker.distribution.manifest.v1+"));
});
