import { defaultEgress } from "./egress.ts";
import assert from "node:assert/strict";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { test, type TestContext } from "node:test";

import { virtualClock } from "@pullring/testkit";

import { makeAddressGuard } from "./addresses.ts";
import { makeConnector } from "./connector.ts";
import { makeResolver, toLookupFunction, type Lookup } from "./resolver.ts";
import { realClock } from "./test-rig.ts";

interface RigOptions {
  readonly trusted?: string;
  readonly allowPrivateAddresses?: boolean;
  readonly addresses: readonly string[];
}

async function rig(t: TestContext, { trusted, allowPrivateAddresses = false, addresses }: RigOptions) {
  const server = createServer((socket) => socket.on("error", () => {}));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const upstream = {
    name: "docker.io",
    url: new URL("http://registry.test"),
    tokenOrigins: [],
    allowPrivateAddresses,
    connectionsMax: 1,
    bandwidthBytesPerSec: 0,
    offline: false,
  };
  const connector = makeConnector({
    egress: defaultEgress,
    upstream,
    clock: realClock,
    guard: makeAddressGuard(),
    resolve: () => Promise.resolve(addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }))),
    trustedOrigins: new Set(trusted === undefined ? [] : [`http://${trusted}:${port}`]),
  });
  const connect = (hostname: string): Promise<Socket> =>
    new Promise((resolve, reject) => {
      const target = { hostname, host: `${hostname}:${port}`, protocol: "http:", port: `${port}` };
      connector(target, (error, socket) => (error ? reject(error) : resolve(socket)));
    });
  return { connect };
}

test("a name that resolves to a private address is refused when the socket would use it", async (t) => {
  const { connect } = await rig(t, { addresses: ["127.0.0.1"] });
  await assert.rejects(connect("cdn.test"), { name: "WireError", fault: "forbidden" });
});

test("of several addresses only those that may be dialled are", async (t) => {
  const { connect } = await rig(t, { addresses: ["::ffff:127.0.0.1", "127.0.0.1", "fe80::1%lo"] });
  await assert.rejects(connect("cdn.test"), { name: "WireError", fault: "forbidden" });
});

test("a host that the operator has written down may lie anywhere; another port of it may not", async (t) => {
  const { connect } = await rig(t, { addresses: ["127.0.0.1"], trusted: "registry.test" });
  (await connect("registry.test")).destroy();
  await assert.rejects(connect("other.test"), { fault: "forbidden" });
});

test("an upstream that allows private addresses may lead to them", async (t) => {
  const { connect } = await rig(t, { addresses: ["127.0.0.1"], allowPrivateAddresses: true });
  (await connect("cdn.test")).destroy();
});

const found = [{ address: "192.0.2.1", family: 4 }];

test("many who look up one host cost one lookup, and few run at once", async () => {
  const asked: string[] = [];
  const gates: PromiseWithResolvers<typeof found>[] = [];
  const resolve = makeResolver(virtualClock(), (host) => {
    asked.push(host);
    const gate = Promise.withResolvers<typeof found>();
    gates.push(gate);
    return gate.promise;
  });
  const all = ["a", "a", "b", "a", "c", "d"].map((host) => resolve(host));
  assert.deepEqual(asked, ["a", "b"]);
  for (let index = 0; index < 4; index += 1) {
    gates[index]?.resolve(found);
    await new Promise((done) => setImmediate(done));
  }
  await Promise.all(all);
  assert.deepEqual(asked, ["a", "b", "c", "d"]);
});

test("the last good answer serves for five minutes when the resolver fails or hangs", async () => {
  const clock = virtualClock();
  const answers: Lookup[] = [
    () => Promise.resolve(found),
    () => Promise.reject(new Error("EAI_AGAIN")),
    () => new Promise(() => {}),
  ];
  let lookup = answers[0] as Lookup;
  const resolve = makeResolver(clock, (host) => lookup(host));
  await resolve("a");
  lookup = answers[1] as Lookup;
  assert.deepEqual(await resolve("a"), found);
  await clock.advance(301_000);
  await assert.rejects(resolve("a"), /EAI_AGAIN/);
  lookup = answers[0] as Lookup;
  await resolve("a");
  lookup = answers[2] as Lookup;
  const hung = resolve("a");
  await clock.advance(700);
  assert.deepEqual(await hung, found);
});

test("node's own form of a lookup is served: one address or all, of one family or any", async () => {
  const both = [...found, { address: "2001:db8::1", family: 6 }];
  const lookup = toLookupFunction(
    () => Promise.resolve(both),
    (_, addresses) => addresses,
  );
  const call = (options: object) =>
    new Promise<unknown[]>((resolve) => lookup("a", options, (...args) => resolve(args)));
  assert.deepEqual(await call({ all: true }), [null, both]);
  assert.deepEqual(await call({}), [null, "192.0.2.1", 4]);
  assert.deepEqual(await call({ family: 6 }), [null, "2001:db8::1", 6]);
  const none = toLookupFunction(
    () => Promise.resolve(found),
    (_, addresses) => addresses,
  );
  const [error] = await new Promise<unknown[]>((resolve) => none("a", { family: 6 }, (...args) => resolve(args)));
  assert.ok(error instanceof Error);
});
