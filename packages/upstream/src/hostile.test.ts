import assert from "node:assert/strict";
import { connect, createServer, type AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";

import { PullringError } from "@pullring/core";

import { accountOf, digest, failsAs, fetchBlob, library, rigFor, scripted, tag } from "./test-rig.ts";

const password = "canary-password-7f3a";
const account = accountOf({ username: "ci", password });
const blob = digest(`sha256:${"a".repeat(64)}`);

/** A host that must never hear of us, nor of our login; every connection to it is seen. */
async function sink(t: TestContext) {
  const heard: string[] = [];
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    socket.on("data", (bytes) => heard.push(bytes.toString("latin1")));
    socket.on("error", () => {});
    socket.end('HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n{"token":"x"}');
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  return {
    port: (server.address() as AddressInfo).port,
    heard: () => heard.join(""),
    connections: () => connections,
  };
}

/** Addresses of the sink, in all the spellings of loopback that a URL knows, and others that must not be asked. */
const hostileAddresses = (port: number, self: string): string[] => [
  `http://127.0.0.1:${port}/token`,
  `http://localhost:${port}/token`,
  `http://LOCALHOST.:${port}/token`,
  `http://a.localhost:${port}/token`,
  `http://127.1:${port}/token`,
  `http://0x7f.1:${port}/token`,
  `http://0177.0.0.1:${port}/token`,
  `http://2130706433:${port}/token`,
  `http://0:${port}/token`,
  `http://0.0.0.0:${port}/token`,
  `http://[::1]:${port}/token`,
  `http://[::]:${port}/token`,
  `http://[::ffff:127.0.0.1]:${port}/token`,
  `http://[::ffff:7f00:1]:${port}/token`,
  `http://127.0.0.1.:${port}/token`,
  `https://127.0.0.1:${port}/token`,
  `http://${new URL(self).host}@127.0.0.1:${port}/token`,
  `http://user:word@127.0.0.1:${port}/token`,
  `http://127.0.0.1:${port}#@${new URL(self).host}/`,
  `//127.0.0.1:${port}/token`,
  `http:\\\\127.0.0.1:${port}\\token`,
  `http://169.254.169.254/latest/meta-data/`,
  `http://metadata.google.internal/computeMetadata/v1/`,
  `ftp://127.0.0.1:${port}/token`,
  `file:///etc/passwd`,
  `javascript:alert(1)`,
  `data:application/json,{"token":"x"}`,
  ``,
];

test("no challenge makes us ask anybody but the configured token servers, with a login or without", async (t) => {
  const trap = await sink(t);
  let realm = "";
  const registry = await scripted(t, (_, response) => {
    response.writeHead(401, { "www-authenticate": `Bearer realm="${realm}",service="x"` }).end();
  });
  for (const address of hostileAddresses(trap.port, registry.url)) {
    realm = address;
    // The list of token servers must hold by itself, also where every address may be dialled.
    for (const [accounts, allowPrivateAddresses] of [
      [[account], true],
      [[account], false],
      [[], true],
    ] as const) {
      const rig = rigFor(t, registry.url, { accounts, upstream: { allowPrivateAddresses } });
      await assert.rejects(rig.manifests.head(library, tag("3")), PullringError, address);
      await assert.rejects(fetchBlob(rig, blob), PullringError, address);
      assert.ok(!rig.logged().includes(password));
    }
  }
  assert.equal(trap.connections(), 0);
  for (const { headers } of registry.requests) assert.equal(headers.authorization, undefined);
});

test("no redirect makes us dial a private address that is not configured", async (t) => {
  const trap = await sink(t);
  let location = "";
  const registry = await scripted(t, (request, response) => {
    if (request.url === "/v2/") return response.end("{}");
    return response.writeHead(307, { location }).end();
  });
  for (const address of hostileAddresses(trap.port, registry.url)) {
    location = address;
    const rig = rigFor(t, registry.url);
    await assert.rejects(fetchBlob(rig, blob), PullringError, address);
    await assert.rejects(rig.manifests.get(library, tag("3")), PullringError, address);
    await assert.rejects(rig.lists.tags(library, ""), PullringError, address);
  }
  assert.equal(trap.connections(), 0);
});

/** A registry that wants a login by `scheme`, and redirects blobs to `location`. */
const guarded = (t: TestContext, scheme: "basic" | "bearer", location: () => string) =>
  scripted(t, (request, response) => {
    const self = `http://${request.headers.host}`;
    if (request.url?.startsWith("/token")) return response.end('{"token":"canary-token-91c2"}');
    const challenge = scheme === "basic" ? 'Basic realm="x"' : `Bearer realm="${self}/token"`;
    if (!request.headers.authorization) return response.writeHead(401, { "www-authenticate": challenge }).end();
    return response.writeHead(307, { location: location() }).end();
  });

for (const scheme of ["basic", "bearer"] as const) {
  test(`a redirect to another port takes no ${scheme} login along, nor does one from there back`, async (t) => {
    let back = "";
    const elsewhere = await scripted(t, (request, response) => {
      if (request.url === "/back") return response.writeHead(302, { location: back }).end();
      return response.end("bytes");
    });
    let location = `${elsewhere.url}/blob`;
    const registry = await guarded(t, scheme, () => location);
    back = `${registry.url}/v2/again`;
    const rig = rigFor(t, registry.url, { accounts: [account], upstream: { allowPrivateAddresses: true } });
    assert.equal((await fetchBlob(rig, blob)).bytes.toString(), "bytes");
    location = `${elsewhere.url}/back`;
    await assert.rejects(fetchBlob(rig, blob), PullringError);
    assert.ok(elsewhere.requests.length >= 2);
    for (const { headers } of elsewhere.requests) {
      assert.equal(headers.authorization, undefined);
      assert.equal(headers.cookie, undefined);
    }
    const returned = registry.requests.filter(({ url }) => url === "/v2/again");
    assert.ok(returned.length > 0 && returned.every(({ headers }) => headers.authorization === undefined));
  });
}

test("a relative redirect stays on the registry and keeps the login", async (t) => {
  const registry = await scripted(t, (request, response) => {
    if (!request.headers.authorization) return response.writeHead(401, { "www-authenticate": "Basic" }).end();
    if (request.url?.includes("/blobs/")) return response.writeHead(302, { location: "../../../../dl/x?y=1" }).end();
    return response.end(request.url === "/dl/x?y=1" ? "bytes" : "");
  });
  const rig = rigFor(t, registry.url, { accounts: [account] });
  assert.equal((await fetchBlob(rig, blob)).bytes.toString(), "bytes");
});

test("a loop of redirects ends after five", async (t) => {
  const registry = await scripted(t, (request, response) => {
    if (request.url === "/v2/") return response.end();
    return response.writeHead(301, { location: request.url }).end();
  });
  const rig = rigFor(t, registry.url);
  await assert.rejects(fetchBlob(rig, blob), failsAs("unavailable"));
  assert.equal(registry.requests.length, 1 + 6);
});

test("what upstream says of itself never brings a secret into an error or the log", async (t) => {
  const registry = await guarded(t, "bearer", () => "http://127.0.0.1:9/x?X-Amz-Signature=canary-signature-33d1");
  const rig = rigFor(t, registry.url, { accounts: [account], upstream: { allowPrivateAddresses: true } });
  const errors: string[] = [];
  for (const ask of [() => fetchBlob(rig, blob), () => rig.manifests.get(library, tag("3"))])
    await ask().catch((error: Error) => errors.push(`${error.stack} ${JSON.stringify(error.cause)}`));
  assert.equal(errors.length, 2);
  const told = errors.join() + rig.logged() + JSON.stringify(rig.events);
  for (const canary of [password, "canary-token", "canary-signature", Buffer.from(`ci:${password}`).toString("base64")])
    assert.ok(!told.includes(canary), canary);
});

test("a token server that redirects is not followed", async (t) => {
  const trap = await sink(t);
  const registry = await scripted(t, (request, response) => {
    const self = `http://${request.headers.host}`;
    if (request.url?.startsWith("/token"))
      return response.writeHead(307, { location: `http://127.0.0.1:${trap.port}/` }).end();
    return response.writeHead(401, { "www-authenticate": `Bearer realm="${self}/token"` }).end();
  });
  const rig = rigFor(t, registry.url, { accounts: [account], upstream: { allowPrivateAddresses: true } });
  await assert.rejects(rig.manifests.head(library, tag("3")), failsAs("unavailable"));
  assert.equal(trap.connections(), 0);
});

test("a query from a client can't smuggle a header, a path or another upstream", async (t) => {
  const registry = await scripted(t, (request, response) =>
    response.end(request.url === "/v2/" ? "{}" : '{"name":"x","tags":[]}'),
  );
  const rig = rigFor(t, registry.url);
  for (const query of ["n=1 HTTP/1.1\r\nX-Evil: 1", "n=1#/../../x", "n=1&ns=evil.example", "?n=1", "n=%0d%0aX: 1"])
    await rig.lists.tags(library, query);
  for (const { url, headers } of registry.requests.slice(1)) {
    assert.match(url ?? "", /^\/v2\/library\/alpine\/tags\/list\?[^\s#]*$/);
    assert.ok(!url?.includes("ns="));
    assert.equal(headers["x-evil"], undefined);
  }
});

test("the sink of these tests does see what connects to it", async (t) => {
  const trap = await sink(t);
  const socket = connect(trap.port, "127.0.0.1");
  await new Promise((resolve) => socket.once("data", resolve));
  socket.destroy();
  assert.equal(trap.connections(), 1);
});
