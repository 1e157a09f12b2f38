import { once } from "node:events";
import { createServer, type Socket } from "node:net";

import {
  openTunnelProxy,
  type TunnelProxy,
  type TunnelProxyOptions,
  type TunnelTarget,
  Tunnels,
} from "./tunnel-proxy.ts";

/** Reply codes and methods of RFC 1928; the status of RFC 1929. */
const [noLogin, byPassword, noMethod] = [0, 2, 255];
const [granted, connectionRefused, denied] = [0, 5, 1];

/** A SOCKS5 proxy on loopback that knows CONNECT and nothing else; it tunnels to loopback only. */
export async function startSocksProxy(options: TunnelProxyOptions = {}): Promise<TunnelProxy> {
  const tunnels = new Tunnels(options);

  /** Whether the client may go on. */
  async function greet(client: Socket): Promise<boolean> {
    const [, methodCount = 0] = await take(client, 2);
    const methods = await take(client, methodCount);
    const wanted = options.credentials ? byPassword : noLogin;
    if (!methods.includes(wanted)) {
      tunnels.unauthorized += 1;
      await tunnels.say(client, [5, noMethod]);
      return false;
    }
    await tunnels.say(client, [5, wanted]);
    if (wanted === noLogin) return true;
    const [, nameLength = 0] = await take(client, 2);
    const username = (await take(client, nameLength)).toString();
    const [passwordLength = 0] = await take(client, 1);
    const may = tunnels.mayPass(username, (await take(client, passwordLength)).toString());
    await tunnels.say(client, [1, may ? granted : denied]);
    return may;
  }

  async function serve(client: Socket): Promise<void> {
    if (tunnels.faults.hang) return tunnels.ignore(client);
    if (!(await greet(client))) return client.destroySoon();
    const asked = await readTarget(client);
    const target = await tunnels.dial(asked);
    await tunnels.say(client, [5, target ? granted : connectionRefused, 0, 1, 127, 0, 0, 1, 0, 0]);
    if (target) await tunnels.carry(client, target, asked);
    else client.destroySoon();
  }

  const server = createServer((client) => {
    tunnels.enter(client);
    serve(client).catch(() => client.destroy());
  });
  return openTunnelProxy("socks5", server, tunnels);
}

/** So many bytes, and none more: what follows is the tunnel's. */
async function take(client: Socket, length: number): Promise<Buffer> {
  if (length === 0) return Buffer.alloc(0);
  for (;;) {
    const bytes = client.read(length) as Buffer | null;
    if (bytes?.length === length) return bytes;
    if (bytes || client.readableEnded || client.destroyed) throw new Error("the client has left");
    const waiting = new AbortController();
    await Promise.race(["readable", "close"].map((event) => once(client, event, waiting))).finally(() =>
      waiting.abort(),
    );
  }
}

async function readTarget(client: Socket): Promise<TunnelTarget> {
  const [, , , type] = await take(client, 4);
  const length = type === 1 ? 4 : type === 4 ? 16 : ((await take(client, 1))[0] ?? 0);
  const bytes = await take(client, length);
  const port = (await take(client, 2)).readUInt16BE();
  return { host: type === 1 ? bytes.join(".") : type === 4 ? ipv6Of(bytes) : bytes.toString(), port };
}

function ipv6Of(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2).toString(16));
  return new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1);
}
