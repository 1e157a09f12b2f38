import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";

import { testCertificates } from "@pullring/testkit";

import type { Finding } from "./finding.ts";
import { mirrorChecks } from "./mirror-checks.ts";

const registry: RequestListener = (_request, response) =>
  response.writeHead(200, { "docker-distribution-api-version": "registry/2.0" }).end("{}");

async function serve(
  t: TestContext,
  listener: RequestListener,
  { isTls = false, host = "127.0.0.1" } = {},
): Promise<URL> {
  const server = isTls ? createTlsServer(testCertificates().server, listener) : createServer(listener);
  server.listen(0, host);
  await once(server, "listening");
  t.after(() => server.close());
  return new URL(`${isTls ? "https" : "http"}://localhost:${(server.address() as AddressInfo).port}`);
}

async function findings(url: URL, ca?: string, nowMs = Date.now()): Promise<Record<string, Finding>> {
  const checks = mirrorChecks({ url, ca, now: () => nowMs });
  const found = await Promise.all(checks.map(async (check) => [check.name, await check.run()] as const));
  return Object.fromEntries(found);
}

test("a mirror that answers as a registry is fine; plain http has no chain to look at", async (t) => {
  const found = await findings(await serve(t, registry));
  assert.deepEqual(Object.keys(found), ["mirror"]);
  assert.equal(found["mirror"]?.status, "ok");
});

for (const [what, listener, status, words] of [
  ["a login", (_q, r) => r.writeHead(401).end(), "warn", /asks for a login/],
  ["a refusal", (_q, r) => r.writeHead(403).end(), "fail", /refuses this address/],
  ["a web page", (_q, r) => r.writeHead(200).end("<html>"), "fail", /answers 200 to \/v2\/, not as a registry/],
  ["a balancer without nodes", (_q, r) => r.writeHead(502).end(), "fail", /answers 502/],
] as const satisfies [string, RequestListener, string, RegExp][]) {
  test(`${what} where the mirror should be: ${status}`, async (t) => {
    const finding = (await findings(await serve(t, listener)))["mirror"];
    assert.equal(finding?.status, status);
    assert.match(finding.found, words);
    assert.notEqual(finding.advice, undefined);
  });
}

test("a mirror that is not there, and one whose scheme is another, fail with what to look at", async (t) => {
  const secure = await serve(t, registry, { isTls: true });
  const plain = new URL(secure.href.replace("https:", "http:"));
  assert.match((await findings(plain))["mirror"]?.advice ?? "", /http where https is served/);
  const asTls = new URL((await serve(t, registry)).href.replace("http:", "https:"));
  const found = await findings(asTls);
  assert.match(found["mirror"]?.advice ?? "", /http where https is served/);
  assert.match(found["mirror's TLS"]?.found ?? "", /^no TLS with localhost/);
  assert.match((await findings(new URL("http://127.0.0.1:9")))["mirror"]?.found ?? "", /ECONNREFUSED/);
});

test("a chain is fine with its authority only, for its names only, in its time only", async (t) => {
  const { ca } = testCertificates();
  const url = await serve(t, registry, { isTls: true });
  const tls = async (...args: Parameters<typeof findings>) => (await findings(...args))["mirror's TLS"];
  assert.equal((await tls(url, ca))?.status, "ok");
  const unknown = await tls(url);
  assert.equal(unknown?.status, "fail");
  assert.match(unknown.advice ?? "", /pullring client NAME --url … --ca FILE/);
  // The certificate names localhost and some addresses, but not this one.
  const other = await serve(t, registry, { isTls: true, host: "127.0.0.2" });
  const elsewhere = await tls(new URL(other.href.replace("localhost", "127.0.0.2")), ca);
  assert.match(elsewhere?.found ?? "", /ALTNAME/);
  assert.match(elsewhere?.advice ?? "", /the certificate is for .*localhost/);
  const soon = await tls(url, ca, Date.parse("2036-11-10T00:00:00Z"));
  assert.equal(soon?.status, "warn");
});
