import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import type { WireAsk, WireEnd } from "./index.ts";
import { accountOf, digest, failsAs, fetchBlob, hubRig, library, tag } from "./test-rig.ts";

const account = { username: "ci", password: "canary-8842", repositories: ["acme/**"] };

async function tappedRig(t: TestContext) {
  const told: { ask: WireAsk; end?: WireEnd }[] = [];
  const { hub, rig } = await hubRig(t, {
    hub: { accounts: [account] },
    accounts: [accountOf(account, { repositories: ["acme/**"] })],
    onWire(ask) {
      const one: (typeof told)[number] = { ask };
      told.push(one);
      return (end) => {
        assert.equal(one.end, undefined, "an end is told once");
        one.end = end;
      };
    },
  });
  return { hub, rig, told };
}

test("every exchange is told with its end: tokens, redirects and all, and no address behind a redirect", async (t) => {
  const { hub, rig, told } = await tappedRig(t);
  const blob = hub.content.addBlob({ repository: "acme/app", private: true, size: 500_000 });
  await fetchBlob(rig, blob.digest, { repository: { upstream: "docker.io", name: "acme/app" } });
  const seen = told.map(({ ask, end }) => [ask.kind, ask.hop, ask.credentials, end?.status]);
  assert.deepEqual(seen, [
    ["ping", 0, false, 401],
    ["token", 0, true, 200],
    ["blob_get", 0, true, 307],
    ["blob_get", 1, false, 200],
  ]);
  const [, token, first, second] = told;
  assert.equal(token?.ask.origin, hub.tokenOrigin);
  assert.equal(first?.ask.origin, hub.url);
  assert.ok(hub.cdnOrigins.includes(second?.ask.origin ?? ""));
  assert.equal(first?.ask.errand, second?.ask.errand);
  assert.notEqual(token?.ask.errand, first?.ask.errand);
  assert.deepEqual([second?.ask.repository, second?.ask.reference], ["acme/app", blob.digest]);
  assert.deepEqual([second?.end?.bytes, second?.end?.length, second?.end?.isBroken], [500_000, 500_000, false]);
  // What is told goes to files: no token, no signature, no password.
  const words = JSON.stringify(told);
  for (const secret of [account.password, "Bearer", "Basic", "?"]) assert.ok(!words.includes(secret), secret);
});

test("what a HEAD told of a manifest, and what a 429 asked for, is told", async (t) => {
  const { hub, rig, told } = await tappedRig(t);
  hub.content.addImage({ repository: library.name, tag: "1", layers: [10] });
  await rig.manifests.head(library, tag("1"));
  assert.deepEqual(told.at(-1)?.end?.tells, ["digest", "type", "size"]);
  hub.faults.add({ kind: "manifest_get" }, { status: 429, headers: { "retry-after": "7" } });
  await assert.rejects(rig.manifests.get(library, tag("1")), failsAs("throttled"));
  const { ask, end } = told.at(-1) ?? {};
  assert.deepEqual([ask?.reference, end?.status, end?.retryAfter], ["1", 429, "7"]);
});

test("a body that breaks is told as broken, with the bytes that came", async (t) => {
  const { hub, rig, told } = await tappedRig(t);
  const { digest: wanted } = hub.content.addBlob({ repository: library.name, size: 500_000 });
  hub.faults.add({ kind: "cdn_get" }, { cutAfterBytes: 1000 });
  await assert.rejects(fetchBlob(rig, digest(wanted)), failsAs("cut"));
  const end = told.at(-1)?.end;
  assert.deepEqual([end?.status, end?.length, end?.isBroken], [200, 500_000, true]);
});
