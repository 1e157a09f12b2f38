import { once } from "node:events";
import { type AddressInfo, connect, isIP, isIPv6, type Server, type Socket } from "node:net";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";

/** What goes wrong; a test may change it at any time. */
export interface TunnelFaults {
  /** Every target is refused: 502, or reply code 5 of SOCKS. */
  refuse: boolean;
  /** Connections are taken, and what they ask is never answered. */
  hang: boolean;
  /** Resets a tunnel when so many bytes of the target have passed. */
  dieAfterBytes: number | undefined;
  /** Says what it says itself in writes of one byte. */
  byteByByte: boolean;
}

export interface TunnelProxyOptions {
  /** A loopback address to listen on. */
  readonly host?: string;
  /** What targets see as the source. */
  readonly localAddress?: string;
  /** Without them nobody gets a tunnel. */
  readonly credentials?: { readonly username: string; readonly password: string };
  /** Addresses of the names that this proxy knows, beside `localhost`. */
  readonly names?: Readonly<Record<string, string>>;
  readonly faults?: Partial<TunnelFaults>;
}

export interface TunnelProxy {
  readonly port: number;
  /** As a client is configured with it, credentials included. */
  readonly url: URL;
  /** The target of each tunnel that was opened, as it was asked for: `127.0.0.1:5000`, `[::1]:5000`, `registry.test:443`. */
  readonly tunnels: readonly string[];
  /** Questions for a tunnel whose credentials were wrong or missing. */
  readonly unauthorized: number;
  readonly faults: TunnelFaults;
  /** Connections of clients that are open now. */
  readonly connections: number;
  /** Resets every open connection. */
  reset(): void;
  close(): Promise<void>;
}

export interface TunnelTarget {
  readonly host: string;
  readonly port: number;
}

/** The part that does not depend on how a client asks. */
export class Tunnels {
  readonly options: TunnelProxyOptions;
  readonly opened: string[] = [];
  readonly faults: TunnelFaults;
  readonly clients = new Set<Socket>();
  unauthorized = 0;

  constructor(options: TunnelProxyOptions) {
    this.options = options;
    this.faults = { refuse: false, hang: false, dieAfterBytes: undefined, byteByByte: false, ...options.faults };
  }

  enter(client: Socket): void {
    this.clients.add(client);
    // What breaks, a test sees at its own end.
    client.on("error", () => {}).once("close", () => this.clients.delete(client));
  }

  /** Notices nothing but that the client leaves. */
  ignore(client: Socket): void {
    client.once("end", () => client.destroy()).resume();
  }

  mayPass(username: string | undefined, password: string | undefined): boolean {
    const { credentials } = this.options;
    const may = !credentials || (username === credentials.username && password === credentials.password);
    if (!may) this.unauthorized += 1;
    return may;
  }

  async say(client: Socket, words: string | readonly number[]): Promise<void> {
    const bytes = Buffer.from(words);
    if (!this.faults.byteByByte) return void client.write(bytes);
    client.setNoDelay(true);
    for (const byte of bytes) {
      client.write(Buffer.of(byte));
      // Long enough for the other side to read it alone.
      await sleep(1);
    }
  }

  /** A connection to the target; undefined where there may or can be none. */
  async dial({ host, port }: TunnelTarget): Promise<Socket | undefined> {
    const known: Record<string, string> = { localhost: "127.0.0.1", ...this.options.names };
    const address = isIP(host) ? host : known[host];
    if (this.faults.refuse || address === undefined || !isLoopback(address)) return undefined;
    const { localAddress } = this.options;
    const target = connect({ host: address, port, ...(localAddress === undefined ? {} : { localAddress }) });
    return once(target, "connect").then(
      () => target,
      () => undefined,
    );
  }

  async carry(client: Socket, target: Socket, { host, port }: TunnelTarget): Promise<void> {
    this.opened.push(`${isIPv6(host) ? `[${host}]` : host}:${port}`);
    const leave = (): void => void (target.destroy(), client.destroy());
    client.once("close", leave);
    await Promise.allSettled([pipeline(client, target), pipeline(target, this.#mortal(client), client)]);
    leave();
  }

  #mortal(client: Socket): Transform {
    const { faults } = this;
    let passed = 0;
    return new Transform({
      transform(chunk: Buffer, _encoding, done) {
        const allowed = chunk.subarray(0, Math.max(0, (faults.dieAfterBytes ?? Infinity) - passed));
        passed += chunk.length;
        if (allowed.length < chunk.length) setImmediate(() => client.resetAndDestroy());
        done(null, allowed);
      },
    });
  }
}

const isLoopback = (address: string): boolean => address === "::1" || /^127\.\d+\.\d+\.\d+$/.test(address);

/** Listens, and is what a test holds of a proxy. */
export async function openTunnelProxy(scheme: string, server: Server, tunnels: Tunnels): Promise<TunnelProxy> {
  const { options, faults, opened, clients } = tunnels;
  const { host = "127.0.0.1", credentials } = options;
  server.listen(0, host);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const url = new URL(`${scheme}://${isIPv6(host) ? `[${host}]` : host}:${port}`);
  url.username = encodeURIComponent(credentials?.username ?? "");
  url.password = encodeURIComponent(credentials?.password ?? "");
  const reset = (): void => {
    // What is shutting down can't be reset.
    for (const client of clients) void (client.writableEnded ? client.destroy() : client.resetAndDestroy());
  };
  return {
    port,
    url,
    tunnels: opened,
    faults,
    get unauthorized() {
      return tunnels.unauthorized;
    },
    get connections() {
      return clients.size;
    },
    reset,
    async close() {
      const closed = once(server, "close");
      server.close();
      reset();
      await closed;
    },
  };
}
