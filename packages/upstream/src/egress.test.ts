import assert from "node:assert/strict";
import { test } from "node:test";

import { failsAs, fetchBlob, hubRig, library, tag } from "./test-rig.ts";

for (const [what, host, localAddress] of [
  ["IPv4", "127.0.0.1", "127.0.0.7"],
  ["IPv6", "::1", "::1"],
] as const) {
  test(`everything of a pull goes out by the ${what} address of its egress: ping, token, manifest, redirect`, async (t) => {
    const egress = [{ name: "a", localAddress }];
    const { hub, rig } = await hubRig(t, { hub: { host, redirect: true }, egress });
    hub.content.addImage({ repository: library.name, tag: "3", layers: [] });
    const blob = hub.content.addBlob({ repository: library.name, size: 50_000 });
    const { lane } = await rig.manifests.get(library, tag("3"));
    assert.equal(lane.name, "anonymous@a@n1");
    await fetchBlob(rig, blob.digest);
    const seen = hub.ledger.entries.map(({ remoteAddress, kind }) => ({ remoteAddress, kind }));
    assert.deepEqual([...new Set(seen.map(({ remoteAddress }) => remoteAddress))], [localAddress]);
    const kinds = new Set(seen.map(({ kind }) => kind));
    for (const kind of ["ping", "token", "manifest_get", "cdn_get"] as const) assert.ok(kinds.has(kind), kind);
  });
}

test("an address reaches nobody of the other family, and the next egress does", async (t) => {
  const six = { name: "six", localAddress: "::1" };
  const alone = await hubRig(t, { egress: [six] });
  await assert.rejects(alone.rig.manifests.head(library, tag("3")), failsAs("unavailable", "down"));
  assert.equal(alone.hub.ledger.count(), 0);
  const both = await hubRig(t, { egress: [six, { name: "four", localAddress: "127.0.0.7" }] });
  both.hub.content.addImage({ repository: library.name, tag: "3", layers: [] });
  assert.equal((await both.rig.manifests.head(library, tag("3"))).lane.name, "anonymous@four@n1");
});
