import type { IncomingMessage } from "node:http";
import type { Server, Socket } from "node:net";

import type { Network } from "../config/config.ts";

import { networks, parseAddress, type Networks } from "./networks.ts";
import { takeProxyHeader } from "./proxy-protocol.ts";

/** How long a trusted proxy may take to say for whom it connects: as long as for a request's head. */
const headerTimeoutMs = 10_000;

export interface ClientAddress {
  /** The client's address, in the form of `parseAddress`; empty when the connection is already gone. */
  of(request: IncomingMessage): string;
  /**
   * Lets the server take the PROXY protocol from trusted proxies. Call it before anybody else listens for its connections. It
   * stays the server it was: one that only got connections handed to it would not watch their timeouts.
   */
  front<S extends Server>(server: S): S;
}

export interface ClientAddressOptions {
  /** Only they are believed, by the PROXY protocol and by X-Forwarded-For. */
  readonly trustedProxies: readonly Network[];
  readonly proxyHeaderTimeoutMs?: number;
}

export function makeClientAddress({
  trustedProxies,
  proxyHeaderTimeoutMs = headerTimeoutMs,
}: ClientAddressOptions): ClientAddress {
  if (trustedProxies.length === 0) return { of: ({ socket }) => peerOf(socket), front: (server) => server };
  const trusted = networks(trustedProxies);
  const told = makeTold();
  return {
    of({ headers, socket }) {
      const peer = told.get(socket) ?? peerOf(socket);
      const forwarded = headers["x-forwarded-for"];
      // Node joins the lines of this header.
      return typeof forwarded === "string" && trusted.contains(peer) ? lastUntrusted(peer, forwarded, trusted) : peer;
    },
    front(server) {
      const accept = server.listeners("connection");
      server.removeAllListeners("connection");
      const handOn = (socket: Socket): void => {
        for (const listener of accept) listener.call(server, socket);
      };
      return server.on("connection", (socket) => {
        if (!trusted.contains(peerOf(socket))) return handOn(socket);
        takeProxyHeader(socket, proxyHeaderTimeoutMs, (address) => {
          const client = address === undefined ? undefined : parseAddress(address);
          if (client !== undefined) told.set(socket, client);
          handOn(socket);
        });
      });
    },
  };
}

const peerOf = ({ remoteAddress = "" }: Socket): string => parseAddress(remoteAddress) ?? "";

/**
 * Who is behind a connection, by its four numbers and not by its socket: a request over TLS knows another socket than the one
 * that was accepted.
 */
function makeTold(): { get(socket: Socket): string | undefined; set(socket: Socket, address: string): void } {
  const addresses = new Map<string, string>();
  return {
    get: (socket) => (addresses.size > 0 ? addresses.get(connectionOf(socket)) : undefined),
    set(socket, address) {
      const connection = connectionOf(socket);
      addresses.set(connection, address);
      socket.once("close", () => addresses.delete(connection));
    },
  };
}

const connectionOf = ({ remoteAddress, remotePort, localAddress, localPort }: Socket): string =>
  `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;

/** From the right: each trusted proxy vouches for the entry before its own, up to the first one that nobody vouches for. */
function lastUntrusted(peer: string, forwarded: string, trusted: Networks): string {
  let client = peer;
  for (const entry of forwarded.split(",").toReversed()) {
    const address = parseEntry(entry.trim());
    if (address === undefined) return client;
    client = address;
    if (!trusted.contains(address)) return client;
  }
  return client;
}

/** An address, with or without port; IPv6 with or without brackets. */
function parseEntry(entry: string): string | undefined {
  const { bracketed, v4 } = /^(?:\[(?<bracketed>[^\]]*)\]|(?<v4>[\d.]+))(?::\d{1,5})?$/.exec(entry)?.groups ?? {};
  return parseAddress(bracketed ?? v4 ?? entry);
}
