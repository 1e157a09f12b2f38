import { createServer as createHttpServer, type RequestListener, type Server, type ServerOptions } from "node:http";
import { createServer as createHttpsServer } from "node:https";

import { serverLimits } from "./http/server-limits.ts";
import type { ServerTls } from "./tls/server-tls.ts";

const options: ServerOptions = {
  maxHeaderSize: serverLimits.headBytesMax,
  headersTimeout: serverLimits.headersTimeoutMs,
  requestTimeout: serverLimits.requestTimeoutMs,
  keepAliveTimeout: serverLimits.keepAliveTimeoutMs,
  connectionsCheckingInterval: serverLimits.connectionsCheckMs,
  noDelay: true,
};

/** An HTTP server, or an HTTPS one whose certificate follows its files. */
export function makeListener(listener: RequestListener, tls: ServerTls | undefined): Server {
  if (!tls) return createHttpServer(options, listener);
  const server = createHttpsServer({ ...options, ...tls.options }, listener);
  tls.follow(server);
  return server;
}
