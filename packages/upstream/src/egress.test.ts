import assert from "node:assert/strict";
import { test } from "node:test";

import { startConnectProxy } from "@pullring/testkit";

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

test("a way that dies is left for another also where a token is the first that is asked for by it, by all who ask", async (t) => {
  const proxy = await startConnectProxy();
  t.after(() => proxy.close());
  const egress = [
    { name: "b", proxy: proxy.url },
    { name: "a", localAddress: "127.0.0.7" },
  ];
  const { hub, rig } = await hubRig(t, { egress });
  const names = Array.from({ length: 8 }, (_, index) => `library/app-${index}`);
  for (const repository of names) hub.content.addImage({ repository, tag: "3", layers: [] });
  const head = (name = ""): Promise<unknown> => rig.manifests.head({ ...library, name }, tag("3"));
  for (const name of names.slice(0, 2)) await head(name);
  assert.ok(proxy.tunnels.length > 0);
  proxy.faults.refuse = true;
  proxy.reset();
  // Each repository has a token of its own.
  for (const name of names.slice(2, 5)) await head(name);
  await Promise.all(names.slice(5).map(head));
});
