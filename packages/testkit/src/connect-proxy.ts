import { createServer } from "node:http";
import type { Socket } from "node:net";

import { openTunnelProxy, type TunnelProxy, type TunnelProxyOptions, Tunnels } from "./tunnel-proxy.ts";

/** An HTTP proxy on loopback that knows CONNECT (RFC 9110, 9.3.6) and nothing else; it tunnels to loopback only. */
export async function startConnectProxy(options: TunnelProxyOptions = {}): Promise<TunnelProxy> {
  const tunnels = new Tunnels(options);

  async function open(client: Socket, authority: string, login: string | undefined): Promise<void> {
    if (tunnels.faults.hang) return tunnels.ignore(client);
    const basic = /^Basic (.+)$/i.exec(login ?? "")?.[1] ?? "";
    const [, username, password] = /^([^:]*):(.*)$/s.exec(Buffer.from(basic, "base64").toString()) ?? [];
    if (!tunnels.mayPass(username, password)) {
      await tunnels.say(client, head("407 Proxy Authentication Required", 'Proxy-Authenticate: Basic realm="proxy"'));
      return client.destroySoon();
    }
    const [, ipv6, name = "", port = ""] = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(authority) ?? [];
    const asked = { host: ipv6 ?? name, port: Number(port) };
    const target = await tunnels.dial(asked);
    await tunnels.say(client, target ? "HTTP/1.1 200 Connection Established\r\n\r\n" : head("502 Bad Gateway"));
    if (target) await tunnels.carry(client, target, asked);
    else client.destroySoon();
  }

  const server = createServer((_request, response) => response.writeHead(405).end());
  server.on("connection", (client: Socket) => tunnels.enter(client));
  server.on("connect", ({ url = "", headers }, client, early) => {
    client.unshift(early);
    void open(client as Socket, url, headers["proxy-authorization"]);
  });
  return openTunnelProxy("http", server, tunnels);
}

const head = (status: string, ...fields: string[]): string =>
  [`HTTP/1.1 ${status}`, ...fields, "Content-Length: 0", "Connection: close", "", ""].join("\r\n");
