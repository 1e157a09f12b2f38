import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { test, type TestContext } from "node:test";
import { eventually } from "./assert.ts";
import { startHub } from "./hub/hub.ts";
import { startSocksProxy } from "./socks-proxy.ts";
import type { TunnelProxyOptions } from "./tunnel-proxy.ts";

async function proxied(t: TestContext, options?: TunnelProxyOptions) {
  const hub = await startHub();
  const proxy = await startSocksProxy(options);
  t.after(() => Promise.all([proxy.close(), hub.close()]));
  const port = Number(new URL(hub.url).port);

  async function dial(): Promise<Socket> {
    const socket = connect({ host: "127.0.0.1", port: proxy.port });
    await once(
      socket.on("error", () => {}),
      "connect",
    );
    return socket;
  }
  const portBytes = [port >> 8, port & 255];
  const named = (name: string): number[] => [5, 1, 0, 3, name.length, ...Buffer.from(name), ...portBytes];
  return { hub, proxy, port, dial, named, ipv4: [5, 1, 0, 1, 127, 0, 0, 1, ...portBytes] };
}

/** Writes, and reads an answer of so many bytes. */
async function say(socket: Socket, bytes: number[] | string, length: number): Promise<number[]> {
  socket.write(typeof bytes === "string" ? bytes : Buffer.from(bytes));
  return await eventually(() => (socket.read(length) as Buffer | null)?.toJSON().data);
}

const noLogin = [5, 1, 0];

test("a tunnel leads to the target, from the address that the proxy has", async (t) => {
  const { hub, proxy, port, dial, named, ipv4 } = await proxied(t, { localAddress: "127.0.0.3" });
  for (const asked of [ipv4, named("127.0.0.1"), named("localhost")]) {
    const socket = await dial();
    assert.deepEqual(await say(socket, noLogin, 2), [5, 0]);
    assert.equal((await say(socket, asked, 10))[1], 0);
    socket.write("GET /v2/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert.match((await socket.toArray()).join(""), /^HTTP\/1\.1 401/);
  }
  assert.deepEqual(new Set(hub.ledger.filter({}).map((entry) => entry.remoteAddress)), new Set(["127.0.0.3"]));
  assert.deepEqual(proxy.tunnels, [`127.0.0.1:${port}`, `127.0.0.1:${port}`, `localhost:${port}`]);
  await eventually(() => proxy.connections === 0);
});

test("it refuses by code 5 what is beyond loopback, what it does not know, and all when told to", async (t) => {
  const { proxy, dial, named, ipv4 } = await proxied(t);
  const replyTo = async (asked: number[]): Promise<number | undefined> => {
    const socket = await dial();
    await say(socket, noLogin, 2);
    return (await say(socket, asked, 10))[1];
  };
  assert.equal(await replyTo(named("registry.test")), 5);
  assert.equal(await replyTo([5, 1, 0, 1, 192, 0, 2, 1, 0, 80]), 5);
  assert.equal(await replyTo([5, 1, 0, 4, 0x20, 1, 0xd, 0xb8, ...Array.from({ length: 12 }, () => 1), 0, 80]), 5);
  proxy.faults.refuse = true;
  assert.equal(await replyTo(ipv4), 5);
  assert.deepEqual(proxy.tunnels, []);
});

test("with credentials nobody gets a tunnel without them", async (t) => {
  const { proxy, dial, ipv4 } = await proxied(t, { credentials: { username: "ann", password: "sesame" } });
  const login = (password: string): number[] => [
    1,
    3,
    ...Buffer.from("ann"),
    password.length,
    ...Buffer.from(password),
  ];
  assert.deepEqual(await say(await dial(), noLogin, 2), [5, 255]);
  const wrong = await dial();
  assert.deepEqual(await say(wrong, [5, 2, 0, 2], 2), [5, 2]);
  assert.deepEqual(await say(wrong, login("guess"), 2), [1, 1]);
  const right = await dial();
  await say(right, [5, 1, 2], 2);
  assert.deepEqual(await say(right, login("sesame"), 2), [1, 0]);
  assert.equal((await say(right, ipv4, 10))[1], 0);
  assert.deepEqual([proxy.unauthorized, proxy.tunnels.length], [2, 1]);
});

test("it dies in the middle, and speaks slowly, when told to", async (t) => {
  const { dial, ipv4 } = await proxied(t, { faults: { byteByByte: true, dieAfterBytes: 20 } });
  const socket = await dial();
  const pieces: number[] = [];
  socket.on("data", (bytes) => pieces.push(bytes.length));
  socket.write(Buffer.from(noLogin));
  await eventually(() => socket.bytesRead === 2);
  socket.write(Buffer.from(ipv4));
  await eventually(() => socket.bytesRead === 12);
  assert.ok(pieces.length > 6, `${pieces.length} pieces`);
  socket.write("GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n");
  await new Promise((resolve) => socket.once("close", resolve));
  assert.ok(socket.bytesRead <= 12 + 20);
});

test("a proxy that hangs takes the connection and says nothing until it is reset", async (t) => {
  const { proxy, dial } = await proxied(t, { faults: { hang: true } });
  const socket = await dial();
  socket.write(Buffer.from(noLogin));
  await eventually(() => proxy.connections === 1);
  proxy.reset();
  await new Promise((resolve) => socket.once("close", resolve));
  assert.equal(socket.bytesRead, 0);
});
