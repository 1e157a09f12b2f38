import assert from "node:assert/strict";
import { test } from "node:test";

import { digestOf, hubProfiles, startHub, type HubOptions } from "@pullring/testkit";

import { accountOf, digest, fetchBlob, hubRig, library, rigFor, tag } from "./test-rig.ts";

const registries: Record<string, HubOptions> = { "Docker Hub": {}, ...hubProfiles };
const account = { username: "ci", password: "s3cret" };

for (const [name, options] of Object.entries(registries)) {
  test(`pulls from a registry like ${name}`, async (t) => {
    const accounts = options.auth === "basic" ? [accountOf(account)] : [];
    const { hub, rig } = await hubRig(t, { hub: { ...options, accounts: [account] }, accounts });
    const image = hub.content.addImage({ repository: library.name, tag: "3", layers: [100_000] });
    const layer = image.layers[0]?.digest ?? "";

    const head = await rig.manifests.head(library, tag("3"));
    assert.equal(head.digest, options.manifestDigestHeader === false ? undefined : image.digest);
    const byTag = await rig.manifests.get(library, tag("3"));
    assert.equal(await digestOf(byTag.bytes), image.digest);
    const byDigest = await rig.manifests.get(library, digest(image.digest));
    assert.equal(await digestOf(byDigest.bytes), image.digest);

    assert.equal((await rig.blobs.head(library, digest(layer))).size, 100_000);
    assert.equal((await rig.blobs.head(library, digest(layer))).size, 100_000);
    const whole = await fetchBlob(rig, layer);
    assert.equal(await digestOf(whole.bytes), layer);
    const rest = await fetchBlob(rig, layer, { offset: 60_000 });
    assert.deepEqual([rest.head.offset, rest.head.size], [60_000, 100_000]);
    assert.deepEqual(rest.bytes, whole.bytes.subarray(60_000));

    assert.deepEqual((await rig.lists.tags(library, "")).body["tags"], ["3"]);
    assert.equal(head.lane.access, accounts.length > 0 ? "linked" : "public");
    // What a registry does not hold to be a secret of its own must not have got our login.
    assert.equal(
      hub.ledger.count(({ origin, authorization }) => origin.startsWith("cdn") && !!authorization),
      0,
    );
    assert.equal(hub.ledger.count({ status: [400, 403, 500] }), 0);
  });
}

test("a registry that redirects everything is followed everywhere, without a token", async (t) => {
  const regional = await startHub({ ...hubProfiles.open, redirect: true });
  t.after(() => regional.close());
  const { hub, rig } = await hubRig(t, { hub: { ...hubProfiles.k8s, redirectAllTo: regional.url } });
  hub.content.addRepository({ repository: library.name });
  const image = regional.content.addImage({ repository: library.name, tag: "3", layers: [1_000] });
  assert.equal((await rig.manifests.head(library, tag("3"))).digest, image.digest);
  assert.equal(await digestOf((await rig.manifests.get(library, tag("3"))).bytes), image.digest);
  const layer = image.layers[0]?.digest ?? "";
  assert.equal(await digestOf((await fetchBlob(rig, layer)).bytes), layer);
  assert.equal((await rig.blobs.head(library, digest(layer))).size, 1_000);
  assert.equal(hub.ledger.count({ kind: "token" }), 0);
});

test("a registry under a path is asked under that path", async (t) => {
  const hub = await startHub(hubProfiles.open);
  t.after(() => hub.close());
  const rig = rigFor(t, `${hub.url}/artifactory/docker/`);
  await assert.rejects(rig.manifests.head(library, tag("3")));
  assert.deepEqual(
    hub.ledger.entries.map(({ path }) => path),
    ["/artifactory/docker/v2/", "/artifactory/docker/v2/library/alpine/manifests/3"],
  );
});

test("only allow-listed headers go up, and say who asks", async (t) => {
  const { hub, rig } = await hubRig(t);
  const blob = hub.content.addBlob({ repository: library.name, size: 100 });
  hub.content.addImage({ repository: library.name, tag: "3", layers: [] });
  await rig.manifests.get(library, tag("3"));
  await fetchBlob(rig, blob.digest, { offset: 1 });
  const allowed = new Set(["host", "connection", "accept", "accept-encoding", "authorization", "range", "user-agent"]);
  for (const { headers } of hub.ledger.entries) {
    assert.deepEqual(
      Object.keys(headers).filter((name) => !allowed.has(name)),
      [],
    );
    assert.match(headers["user-agent"] ?? "", /^pullring\/\d+\.\d+\.\d+$/);
    assert.equal(headers["accept-encoding"], "identity");
  }
});
