import assert from "node:assert/strict";
import { test } from "node:test";

import { limits as cacheLimits } from "@pullring/core";
import { manifestAccept } from "@pullring/oci";
import { mediaTypes, type Fault } from "@pullring/testkit";

import { digest, failsAs, hubRig, library, tag } from "./test-rig.ts";

const always = "always" as const;
const json = (length: number): Buffer => Buffer.from(`{"schemaVersion":2,"pad":"${"x".repeat(length - 28)}"}`);

test("the whole Accept list goes up, whatever is asked", async (t) => {
  const { hub, rig } = await hubRig(t);
  const image = hub.content.addImage({ repository: library.name, tag: "3", layers: [] });
  await rig.manifests.head(library, tag("3"));
  await rig.manifests.get(library, digest(image.digest));
  for (const { headers } of hub.ledger.filter({ kind: ["manifest_head", "manifest_get"] }))
    assert.equal(headers.accept, manifestAccept);
});

test("a digest that upstream claims is passed on if it is one, and a HEAD never becomes a GET", async (t) => {
  const { hub, rig } = await hubRig(t);
  const image = hub.content.addImage({ repository: library.name, tag: "3", layers: [] });
  const head = await rig.manifests.head(library, tag("3"));
  assert.deepEqual([head.digest, head.mediaType, head.size], [image.digest, image.mediaType, image.size]);
  for (const claim of [null, "sha256:short", "md5:abc"]) {
    const rule = hub.faults.add({ kind: "manifest_head" }, { headers: { "docker-content-digest": claim } });
    assert.equal((await rig.manifests.head(library, tag("3"))).digest, undefined);
    rule.remove();
  }
  assert.equal(hub.ledger.count({ kind: "manifest_get" }), 0);
});

test("a HEAD whose type is no manifest's tells none", async (t) => {
  const { hub, rig } = await hubRig(t);
  hub.content.addImage({ repository: library.name, tag: "3", layers: [] });
  for (const [claim, told] of [
    ["text/html", undefined],
    [`${mediaTypes.ociManifest}; charset=utf-8`, mediaTypes.ociManifest],
  ]) {
    hub.faults.add({ kind: "manifest_head" }, { headers: { "content-type": claim ?? null } });
    assert.equal((await rig.manifests.head(library, tag("3"))).mediaType, told);
  }
});

for (const status of [400, 405, 406, 501]) {
  test(`a HEAD answered by ${status} is unsupported`, async (t) => {
    const { hub, rig } = await hubRig(t, { hub: { manifestHeadStatus: status } });
    hub.content.addImage({ repository: library.name, tag: "3", layers: [] });
    await assert.rejects(rig.manifests.head(library, tag("3")), failsAs("unsupported"));
    assert.equal(hub.ledger.count({ kind: "manifest_head" }), 1);
  });
}

for (const status of [404, 410]) {
  test(`${status} means that it is not there`, async (t) => {
    const { hub, rig } = await hubRig(t);
    hub.content.addImage({ repository: library.name, tag: "3", layers: [] });
    hub.faults.add({ kind: "manifest_get" }, { status });
    await assert.rejects(rig.manifests.get(library, tag("3")), failsAs("missing", "down"));
  });
}

for (const status of [204, 400, 418]) {
  test(`${status} is upstream's failure, not "not there"`, async (t) => {
    const { hub, rig } = await hubRig(t);
    hub.content.addImage({ repository: library.name, tag: "3", layers: [] });
    hub.faults.add({ kind: "manifest_get", times: always }, { status });
    await assert.rejects(rig.manifests.get(library, tag("3")), failsAs("unavailable", "refused"));
  });
}

test("4 MiB is a manifest, a byte more is too large, with its length told or not", async (t) => {
  const { hub, rig } = await hubRig(t);
  const max = cacheLimits.manifestBytesMax;
  const add = (length: number) =>
    hub.content.addManifest({ repository: library.name, bytes: json(length), mediaType: mediaTypes.ociManifest });
  const [most, more] = [add(max), add(max + 1)];
  assert.equal((await rig.manifests.get(library, digest(most.digest))).bytes.length, max);
  await assert.rejects(rig.manifests.get(library, digest(more.digest)), failsAs("too_large"));
  hub.faults.add({ kind: "manifest_get" }, { framing: "chunked" });
  await assert.rejects(rig.manifests.get(library, digest(more.digest)), failsAs("too_large"));
});

test("a manifest with a content coding is refused", async (t) => {
  const { hub, rig } = await hubRig(t);
  hub.content.addImage({ repository: library.name, tag: "3", layers: [] });
  hub.faults.add({ kind: "manifest_get" }, { gzip: true });
  await assert.rejects(rig.manifests.get(library, tag("3")), failsAs("corrupt"));
});

const passing: Record<string, Fault> = {
  "a 500": { status: 500 },
  "a 503": { status: 503 },
  "a reset": { close: "rst" },
  "an early end": { close: "fin" },
  "a cut body": { cutAfterBytes: 10 },
};

for (const [name, fault] of Object.entries(passing)) {
  test(`${name} is tried again: by digest twice, by tag once`, async (t) => {
    const { hub, rig } = await hubRig(t);
    const image = hub.content.addImage({ repository: library.name, tag: "3", layers: [] });
    const get = { kind: "manifest_get" } as const;
    hub.faults.add({ ...get, times: 2 }, fault);
    await rig.manifests.get(library, digest(image.digest));
    assert.equal(hub.ledger.count(get), 3);
    hub.ledger.clear();
    hub.faults.add({ ...get, times: always }, fault);
    await assert.rejects(rig.manifests.get(library, tag("3")));
    assert.equal(hub.ledger.count(get), 2);
  });
}

test("a caller's signal ends its own wait for a token, and not the others'", async (t) => {
  const { hub, rig } = await hubRig(t, { hub: { latencyMs: 50 } });
  hub.content.addImage({ repository: library.name, tag: "3", layers: [] });
  const controller = new AbortController();
  const impatient = rig.manifests.head(library, tag("3"), controller.signal);
  const patient = rig.manifests.head(library, tag("3"));
  const outcome = assert.rejects(impatient, /enough/);
  await hub.ledger.until({ kind: "token" });
  controller.abort(new Error("enough"));
  await outcome;
  await patient;
  assert.equal(rig.count("token"), 1);
});

test("an upstream that is set offline is not dialled", async (t) => {
  const { hub, rig } = await hubRig(t, { upstream: { offline: true } });
  await assert.rejects(rig.manifests.head(library, tag("3")), failsAs("unavailable", "down"));
  assert.equal(hub.ledger.count(), 0);
});

test("an upstream that is not configured is not asked", async (t) => {
  const { rig } = await hubRig(t);
  const elsewhere = { ...library, upstream: "evil.example" };
  await assert.rejects(rig.manifests.head(elsewhere, tag("3")), failsAs("unavailable"));
});
