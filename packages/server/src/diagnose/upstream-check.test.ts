import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import { type Hub, type HubOptions, startHub, testCertificates } from "@pullring/testkit";

import type { Upstream } from "../config/index.ts";
import { inlineSecret } from "../config/secret-source.ts";
import type { Finding } from "./finding.ts";
import { quotaCheck } from "./quota-check.ts";
import { probeRegistry } from "./registry-probe.ts";
import { upstreamCheck } from "./upstream-check.ts";

const login = { username: "ann", password: "right" };

async function openHub(t: TestContext, options: HubOptions = {}): Promise<Hub> {
  const hub = await startHub({ accounts: [login], ...options });
  t.after(() => hub.close());
  hub.content.addImage({ repository: "ratelimitpreview/test", tag: "latest", layers: [{ a: "b" }] });
  return hub;
}

const upstreamOf = (hub: Hub, over: Partial<Upstream> = {}): Upstream => ({
  name: "docker.io",
  url: new URL(hub.url),
  aliases: [],
  tokenOrigins: [hub.tokenOrigin],
  allowPrivateAddresses: true,
  connectionsMax: 8,
  bandwidthBytesPerSec: 0,
  offline: false,
  ...over,
});

interface As {
  readonly password?: string;
  readonly over?: Partial<Upstream>;
  readonly ca?: string;
}

function checksOf(hub: Hub, { password, over = {}, ca }: As = {}) {
  const upstream = upstreamOf(hub, over);
  const account = password === undefined ? undefined : { username: "ann", password: inlineSecret(password) };
  const scope = "repository:ratelimitpreview/test:pull";
  const probe = () => probeRegistry({ upstream, account, scope, ca });
  return {
    upstream: upstreamCheck({ upstream, probe, ...(account && { account: "ours" }) }),
    quota: quotaCheck({ upstream, whose: "anonymous", probe, ca }),
  };
}

const expectFinding = ({ status, found }: Finding, wanted: Finding["status"], words: RegExp): void => {
  assert.equal(status, wanted, found);
  assert.match(found, words);
};

test("a registry that answers is fine, with its token server, with Basic, and with neither", async (t) => {
  for (const auth of ["bearer", "basic", "none"] as const) {
    const hub = await openHub(t, { auth });
    expectFinding(await checksOf(hub).upstream.run(), "ok", /answers/);
  }
});

for (const auth of ["bearer", "basic"] as const) {
  test(`a login is tried by ${auth}: the right one is taken, a wrong one fails and is not shown`, async (t) => {
    const hub = await openHub(t, { auth });
    expectFinding(await checksOf(hub, { password: "right" }).upstream.run(), "ok", /takes the login of ours/);
    const wrong = await checksOf(hub, { password: "wr0ng" }).upstream.run();
    expectFinding(wrong, "fail", /refuses the login of ours/);
    assert.ok(!JSON.stringify(wrong).includes("wr0ng"));
  });
}

test("no login goes to a token server that may not be asked", async (t) => {
  const hub = await openHub(t);
  const finding = await checksOf(hub, { password: "right", over: { tokenOrigins: [] } }).upstream.run();
  expectFinding(finding, "fail", /not among its token origins/);
  assert.ok(finding.advice?.includes(`tokenOrigins: ["${hub.tokenOrigin}"]`));
  assert.equal(hub.ledger.count({ origin: "token" }), 0);
});

test("what is no registry, fails, or holds this address back is told apart", async (t) => {
  for (const [options, words] of [
    [{ pingStatus: 404 }, /answers 404 to \/v2\//],
    [{ pingStatus: 503 }, /answers 503 to \/v2\//],
    [{ pingStatus: 429 }, /asks too much/],
    [{ tokenStatus: 429 }, /asks too much/],
  ] as const) {
    expectFinding(await checksOf(await openHub(t, options)).upstream.run(), "fail", words);
  }
});

test("an upstream that is gone fails; one that is set to be offline is not asked", async (t) => {
  const hub = await openHub(t);
  await hub.close();
  expectFinding(await checksOf(hub).upstream.run(), "fail", /can't be asked: ECONNREFUSED/);
  expectFinding(await checksOf(hub, { over: { offline: true } }).upstream.run(), "ok", /offline/);
  assert.equal((await checksOf(hub).quota.run()).status, "warn");
});

test("a certificate of an unknown authority fails and names the setting; with the authority all is fine", async (t) => {
  const { server: tls, ca } = testCertificates();
  const hub = await openHub(t, { tls, publicHost: "localhost" });
  const unknown = await checksOf(hub).upstream.run();
  expectFinding(unknown, "fail", /UNABLE_TO|SELF_SIGNED/);
  assert.match(unknown.advice ?? "", /upstreams\."docker\.io"\.ca/);
  expectFinding(await checksOf(hub, { ca }).upstream.run(), "ok", /answers/);
});

test("what is left of a quota is told, and asking costs nothing of it", async (t) => {
  const hub = await openHub(t, { anonymousLimit: 10 });
  for (const _ of ["first", "again"]) expectFinding(await checksOf(hub).quota.run(), "ok", /^10 of 10 pulls left/);
  assert.equal(hub.ledger.count({ counted: true }), 0);
  expectFinding(await checksOf(await openHub(t, { anonymousLimit: 0 })).quota.run(), "fail", /0 of 0|nothing is left/);
  expectFinding(await checksOf(await openHub(t, { anonymousLimit: undefined })).quota.run(), "ok", /no limit/);
  expectFinding(await checksOf(await openHub(t, { rateHeaders: false })).quota.run(), "ok", /no limit/);
});

test("little of a quota is a warning", async (t) => {
  const hub = await openHub(t, { anonymousLimit: 20 });
  const { authorization = "" } = await probeRegistry({
    upstream: upstreamOf(hub),
    scope: "repository:ratelimitpreview/test:pull",
  });
  for (let pull = 0; pull < 19; pull += 1) {
    const answer = await fetch(`${hub.url}/v2/ratelimitpreview/test/manifests/latest`, {
      headers: { authorization, accept: "application/vnd.oci.image.manifest.v1+json" },
    });
    await answer.arrayBuffer();
  }
  expectFinding(await checksOf(hub).quota.run(), "warn", /^1 of 20 pulls left/);
});
