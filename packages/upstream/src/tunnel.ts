import { connect, type Socket } from "node:net";
import { isIPv4, isIPv6 } from "node:net";

import type { Clock } from "@pullring/core";

import { limits } from "./limits.ts";
import { WireError } from "./wire-error.ts";

export interface TunnelTarget {
  /** A name or an address, IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
}

/**
 * A connection to the target through a proxy, ready for its first byte. Rejects with `unreachable` when the proxy can't be reached, refuses, or does not
 * answer in time.
 */
export async function openTunnel(proxy: URL, target: TunnelTarget, clock: Clock): Promise<Socket> {
  const socket = connect({ host: unbracketed(proxy.hostname), port: portOf(proxy) });
  const done = new AbortController();
  const late = new WireError("unreachable", `no connection by the proxy ${proxy.host} within ${limits.tunnelMs} ms`);
  clock.sleep(limits.tunnelMs, done.signal).then(
    () => socket.destroy(late),
    () => {},
  );
  try {
    const reader = new Reader(socket);
    await (proxy.protocol === "socks5:" ? bySocks(proxy, target, reader) : byConnect(proxy, target, reader));
    reader.release();
    return socket;
  } catch (error) {
    socket.destroy();
    throw error instanceof WireError
      ? error
      : new WireError("unreachable", `by the proxy ${proxy.host}: ${String(error)}`);
  } finally {
    done.abort();
  }
}

const portOf = ({ port, protocol }: URL): number => Number(port) || (protocol === "socks5:" ? 1080 : 80);
const unbracketed = (host: string): string => host.replace(/^\[|\]$/g, "");
const loginOf = ({ username, password }: URL): readonly [string, string] => [
  decodeURIComponent(username),
  decodeURIComponent(password),
];

/** What a proxy says before the tunnel is open, so many bytes at a time. */
class Reader {
  readonly socket: Socket;
  #bytes = Buffer.alloc(0);
  #failure: Error | undefined;
  #wake: () => void = () => {};
  readonly #onData = (chunk: Buffer): void => {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    this.#wake();
  };
  readonly #onEnd = (error?: unknown): void => {
    this.#failure ??= error instanceof Error ? error : new Error("it closed the connection");
    this.#wake();
  };

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", this.#onData);
    for (const event of ["error", "end", "close"]) socket.on(event, this.#onEnd);
  }

  /** `measure` tells how many of the bytes so far make one answer; undefined = not enough yet. */
  async take(measure: (bytes: Buffer) => number | undefined): Promise<Buffer> {
    for (;;) {
      const length = measure(this.#bytes);
      if (length !== undefined && length <= this.#bytes.length) {
        const taken = this.#bytes.subarray(0, length);
        this.#bytes = this.#bytes.subarray(length);
        return taken;
      }
      if (this.#bytes.length > limits.tunnelHeadBytesMax) throw new Error("it answers too much");
      if (this.#failure) throw this.#failure;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** Hands the socket on, with what came too early. */
  release(): void {
    this.socket.off("data", this.#onData);
    for (const event of ["error", "end", "close"]) this.socket.off(event, this.#onEnd);
    this.socket.pause();
    if (this.#bytes.length > 0) this.socket.unshift(this.#bytes);
  }
}

async function byConnect(proxy: URL, { host, port }: TunnelTarget, reader: Reader): Promise<void> {
  const authority = `${isIPv6(host) ? `[${host}]` : host}:${port}`;
  const [username, password] = loginOf(proxy);
  const basic = Buffer.from(`${username}:${password}`).toString("base64");
  const login = username === "" ? "" : `Proxy-Authorization: Basic ${basic}\r\n`;
  reader.socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${login}\r\n`);
  const head = await reader.take((bytes) => {
    const end = bytes.indexOf("\r\n\r\n");
    return end < 0 ? undefined : end + 4;
  });
  const [, status = ""] = /^HTTP\/1\.[01] (\d{3})/.exec(head.toString("latin1")) ?? [];
  if (!status.startsWith("2")) throw new Error(`it answers ${status || "something else than HTTP"}`);
}

/** RFC 1928, and RFC 1929 where it wants a login. */
async function bySocks(proxy: URL, target: TunnelTarget, reader: Reader): Promise<void> {
  const [username, password] = loginOf(proxy);
  const method = username === "" ? 0 : 2;
  reader.socket.write(Buffer.from([5, 1, method]));
  const chosen = await reader.take(() => 2);
  if (chosen[0] !== 5 || chosen[1] !== method) throw new Error("it wants another login");
  if (method === 2) {
    const [name, word] = [Buffer.from(username), Buffer.from(password)];
    reader.socket.write(Buffer.concat([Buffer.from([1, name.length]), name, Buffer.from([word.length]), word]));
    if ((await reader.take(() => 2))[1] !== 0) throw new Error("it refuses the login");
  }
  const port = Buffer.from([target.port >> 8, target.port & 255]);
  reader.socket.write(Buffer.concat([Buffer.from([5, 1, 0]), addressOf(target.host), port]));
  const answer = await reader.take((bytes) => (bytes.length < 5 ? undefined : 6 + addressLength(bytes)));
  if (answer[1] !== 0) throw new Error(`it answers ${answer[1]}`);
}

/** Its type, then itself. An IPv6 address goes as a name: proxies read it as what it is. */
function addressOf(host: string): Buffer {
  if (isIPv4(host)) return Buffer.from([1, ...host.split(".").map(Number)]);
  const name = Buffer.from(host);
  return Buffer.concat([Buffer.from([3, name.length]), name]);
}

const addressLength = (bytes: Buffer): number => (bytes[3] === 1 ? 4 : bytes[3] === 4 ? 16 : 1 + (bytes[4] ?? 0));
