import {
  createServer as createHttpServer,
  type RequestListener,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";

import { peerLimits } from "../limits.ts";
import { requireTrust, type PeerTls, type PeerTrust } from "./trust.ts";

export interface PeerListenerOptions {
  readonly listen: { readonly host: string; readonly port: number };
  readonly trust: PeerTrust;
  readonly handler: RequestListener;
  /** Whether somebody at this address is answered at all; absent = whoever can prove to be a peer. */
  readonly admits?: (address: string) => boolean;
}

export interface PeerListener {
  readonly port: number;
  /** No new connections, and one more answer over each that is in use; resolves when all have ended. */
  drain(): Promise<void>;
  /** Ends what is still open. */
  close(): Promise<void>;
}

const options: ServerOptions = {
  maxHeaderSize: peerLimits.headBytesMax,
  headersTimeout: peerLimits.headersTimeoutMs,
  requestTimeout: peerLimits.requestTimeoutMs,
  keepAliveTimeout: peerLimits.serverKeepAliveMs,
  connectionsCheckingInterval: peerLimits.connectionsCheckMs,
  noDelay: true,
};

/** Throws off loopback without a secret or TLS, and where the address can't be had. */
export async function openPeerListener({ listen, trust, handler, admits }: PeerListenerOptions): Promise<PeerListener> {
  requireTrust(listen.host, trust);
  const server = trust.tls ? makeTlsServer(trust.tls, handler) : createHttpServer(options, handler);
  server.maxConnections = peerLimits.connectionsMax;
  // While this node leaves, peers may go on asking over one connection for as long as they like.
  server.prependListener("request", (_request, response: ServerResponse) => {
    if (!server.listening) response.setHeader("connection", "close");
  });
  if (admits)
    server.prependListener("connection", (socket: Socket) => {
      if (!admits(socket.remoteAddress ?? "")) socket.destroy();
    });
  const listening = Promise.withResolvers<void>();
  server
    .once("error", listening.reject)
    .listen({ ...listen, backlog: peerLimits.backlogMax }, () => listening.resolve());
  await listening.promise;

  const closed = new Promise<void>((resolve) => server.once("close", () => resolve()));
  const drain = (): Promise<void> => {
    if (server.listening) server.close();
    server.closeIdleConnections();
    return closed;
  };
  return {
    port: (server.address() as AddressInfo).port,
    drain,
    close() {
      const done = drain();
      server.closeAllConnections();
      return done;
    },
  };
}

function makeTlsServer(tls: PeerTls, handler: RequestListener): Server {
  const read = () => ({ ca: tls.ca(), cert: tls.cert(), key: tls.key(), minVersion: "TLSv1.2" as const });
  let current = read();
  const server = createHttpsServer({ ...options, ...current, requestCert: true, rejectUnauthorized: true }, handler);
  // Before the server's own listener, which takes the context as it is then.
  server.prependListener("connection", () => {
    const next = read();
    if (next.ca === current.ca && next.cert === current.cert && next.key === current.key) return;
    current = next;
    try {
      server.setSecureContext(next);
    } catch {
      // Certificate and key do not change at once: until they fit, the pair that did stays in use.
    }
  });
  return server;
}
