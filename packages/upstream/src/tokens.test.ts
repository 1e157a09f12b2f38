import assert from "node:assert/strict";
import { test } from "node:test";

import { hubProfiles, virtualClock } from "@pullring/testkit";

import { accountOf, digest, failsAs, fetchBlob, hubRig, library, scripted, rigFor, tag } from "./test-rig.ts";

const ci = { username: "ci", password: "s3cret", repositories: ["acme/**"] };
const acme = { upstream: "docker.io", name: "acme/app" };

test("a cold pull costs one ping, one token and no 401 on a resource", async (t) => {
  const { hub, rig } = await hubRig(t);
  hub.content.addImage({ repository: library.name, tag: "3", layers: [] });
  await Promise.all(Array.from({ length: 50 }, () => rig.manifests.head(library, tag("3"))));
  assert.deepEqual([rig.count("ping"), rig.count("token")], [1, 1]);
  assert.equal(hub.ledger.count({ kind: "manifest_head", status: 401 }), 0);
});

test("each repository and each account has a token of its own", async (t) => {
  const accounts = [accountOf(ci, { repositories: ["acme/**"] })];
  const { hub, rig } = await hubRig(t, { hub: { accounts: [ci] }, accounts });
  const other = { ...library, name: "library/busybox" };
  for (const { name } of [library, other, acme]) hub.content.addImage({ repository: name, tag: "3", layers: [] });
  hub.content.addRepository({ repository: acme.name, private: true });
  for (const repository of [library, other, acme, library, acme]) await rig.manifests.head(repository, tag("3"));
  assert.equal(rig.count("token"), 3);
  assert.deepEqual(
    hub.ledger
      .filter({ kind: "token" })
      .map(({ account, query }) => [account, new URLSearchParams(query).get("scope")]),
    [
      [undefined, "repository:library/alpine:pull"],
      [undefined, "repository:library/busybox:pull"],
      ["ci", "repository:acme/app:pull"],
    ],
  );
});

test("a token is replaced at 80 % of its life, by our own clock, and used until then", async (t) => {
  const clock = virtualClock();
  const { hub, rig } = await hubRig(t, { clock, hub: { tokenLifetimeSec: 300 } });
  hub.content.addImage({ repository: library.name, tag: "3", layers: [] });
  const headAt = async (ms: number): Promise<number> => {
    await clock.advance(ms);
    await rig.manifests.head(library, tag("3"));
    return rig.count("token");
  };
  assert.deepEqual([await headAt(0), await headAt(239_000), await headAt(2_000)], [1, 1, 2]);
});

test("a token server that is down does not spoil a token that still lives", async (t) => {
  const clock = virtualClock();
  const { hub, rig } = await hubRig(t, { clock, hub: { tokenLifetimeSec: 300 } });
  hub.content.addImage({ repository: library.name, tag: "3", layers: [] });
  await rig.manifests.head(library, tag("3"));
  await clock.advance(250_000);
  hub.knobs.tokenStatus = 429;
  await rig.manifests.head(library, tag("3"));
  assert.equal(rig.count("token"), 2);
});

for (const [name, answer, seconds] of [
  ["no expires_in", { tokenExpiresIn: false }, 60],
  ["an expires_in below a minute", { tokenLifetimeSec: 5 }, 60],
] as const) {
  test(`${name} counts as one minute`, async (t) => {
    const clock = virtualClock();
    const { hub, rig } = await hubRig(t, { clock, hub: answer });
    hub.content.addImage({ repository: library.name, tag: "3", layers: [] });
    await rig.manifests.head(library, tag("3"));
    await clock.advance((seconds * 0.8 - 1) * 1000);
    await rig.manifests.head(library, tag("3"));
    assert.equal(rig.count("token"), 1);
    await clock.advance(2_000);
    await rig.manifests.head(library, tag("3"));
    assert.equal(rig.count("token"), 2);
  });
}

test("a token that runs out between two requests is replaced once, for everybody", async (t) => {
  const { hub, rig } = await hubRig(t, { hub: { tokenLifetimeSec: 60 } });
  hub.content.addImage({ repository: library.name, tag: "3", layers: [] });
  await rig.manifests.head(library, tag("3"));
  hub.advance(61_000);
  await Promise.all(Array.from({ length: 20 }, () => rig.manifests.head(library, tag("3"))));
  assert.equal(rig.count("token"), 2);
});

test("a 401 after a good token means not there, at the price of one more token at most", async (t) => {
  const { hub, rig } = await hubRig(t);
  hub.content.addRepository({ repository: library.name, private: true });
  await assert.rejects(rig.manifests.head(library, tag("3")), failsAs("missing", "refused"));
  await assert.rejects(rig.manifests.get(library, tag("3")), failsAs("missing", "refused"));
  assert.equal(rig.count("token"), 1);
  assert.equal(hub.ledger.count({ kind: "manifest_get" }), 1);
});

test("a registry that answers 401 to everything is asked twice, not for ever", async (t) => {
  const { hub, rig } = await hubRig(t);
  hub.content.addImage({ repository: library.name, tag: "3", layers: [] });
  await rig.manifests.head(library, tag("3"));
  hub.faults.add({ kind: "manifest_get", times: "always" }, { status: 401, headers: { "www-authenticate": null } });
  await assert.rejects(rig.manifests.get(library, tag("3")), failsAs("missing", "refused"));
  assert.equal(hub.ledger.count({ kind: "manifest_get" }), 2);
});

test("the field may be called access_token", async (t) => {
  const { hub, rig } = await hubRig(t, { hub: { tokenField: "access_token" } });
  hub.content.addImage({ repository: library.name, tag: "3", layers: [] });
  await rig.manifests.head(library, tag("3"));
});

test("ghcr's 403 for a repository that is not there does not bench the account", async (t) => {
  const hubOptions = { ...hubProfiles.ghcr, accounts: [ci], missingRepositoryStatus: 404 as const };
  const { hub, rig } = await hubRig(t, { hub: hubOptions, accounts: [accountOf(ci)] });
  hub.content.addImage({ repository: acme.name, tag: "3", layers: [], private: true });
  await assert.rejects(rig.manifests.head(library, tag("3")), failsAs("missing", "refused"));
  assert.equal((await rig.manifests.head(acme, tag("3"))).lane.name, "ci@default@n1");
});

test("a 401 from the token server benches no account whose login has worked", async (t) => {
  const hubOptions = { tokenDeniedStatus: 401 as const, accounts: [ci] };
  const { hub, rig } = await hubRig(t, { hub: hubOptions, accounts: [accountOf(ci)] });
  hub.content.addImage({ repository: acme.name, tag: "3", layers: [], private: true });
  await rig.manifests.head(acme, tag("3"));
  const nowhere = { ...acme, name: "acme/none" };
  await assert.rejects(rig.manifests.head(nowhere, tag("3")), failsAs("missing", "refused"));
  assert.equal((await rig.manifests.head(acme, tag("3"))).lane.name, "ci@default@n1");
});

test("nvcr's realm, another for each repository, costs no token and no request more", async (t) => {
  const { rig } = await hubRig(t, { hub: hubProfiles.nvcr });
  for (const name of ["nvidia/cuda", "nvidia/none"])
    await assert.rejects(rig.manifests.head({ ...library, name }, tag("3")), failsAs("missing", "refused"));
  assert.deepEqual([rig.count("token"), rig.count("manifest_head")], [2, 2]);
});

test("what a token server sends is bounded, and must be a token", async (t) => {
  const answers = [
    "not json",
    "[]",
    '{"token":7}',
    '{"token":"a\\nb"}',
    '{"token":""}',
    `{"token":"${"a".repeat(2e6)}"}`,
  ];
  for (const body of answers) {
    const server = await scripted(t, (request, response) => {
      if (request.url?.startsWith("/token")) return response.end(body);
      const realm = `http://${request.headers.host}/token`;
      return response.writeHead(401, { "www-authenticate": `Bearer realm="${realm}"` }).end();
    });
    const rig = rigFor(t, server.url);
    await assert.rejects(rig.manifests.head(library, tag("3")), failsAs("unavailable"));
    assert.equal(server.requests.length, 2);
  }
});

test("the token server's 5xx is tried three times, then left alone for a second", async (t) => {
  const { hub, rig } = await hubRig(t, { hub: { tokenStatus: 503 } });
  const wanted = Array.from({ length: 5 }, () => rig.manifests.head(library, tag("3")));
  for (const head of wanted) await assert.rejects(head, failsAs("unavailable", "down"));
  await assert.rejects(fetchBlob(rig, digest(`sha256:${"a".repeat(64)}`)), failsAs("unavailable", "down"));
  assert.equal(hub.ledger.count({ kind: "token" }), 3);
});
