import type { IncomingMessage, RequestListener, Server, ServerResponse } from "node:http";

import { fastify, type FastifyInstance } from "fastify";

import type { Exchange } from "./exchange.ts";
import { answerUnreadable, type Unreadable } from "./unreadable.ts";

export interface AppOptions {
  /** The HTTP or HTTPS server that calls the listener; its limits are `serverLimits`. */
  readonly makeServer: (listener: RequestListener) => Server;
  readonly serve: (exchange: Exchange) => Promise<void>;
  /** Status words of /livez and /readyz. */
  readonly health: { livez(): HealthWord; readyz(): HealthWord };
  readonly requestId: (request: IncomingMessage) => string;
  readonly monotonic: () => number;
  /** Called once per request of the registry face, after its last byte or after its client has left. */
  readonly onEnd: (exchange: Exchange) => void;
  /** Called once for what was answered but was no request. */
  readonly onUnreadable: (unreadable: Unreadable) => void;
}

interface HealthWord {
  readonly status: number;
  readonly word: string;
}

/**
 * The registry listener. Fastify keeps the server's life, the health routes and unknown methods; the registry's targets do not go
 * through its router, which decodes and normalises paths: they are read raw, and handlers write to the socket themselves.
 */
export function makeApp(options: AppOptions): FastifyInstance {
  const app = fastify({
    serverFactory: (listener) => options.makeServer(listener),
    clientErrorHandler(error, socket) {
      const unreadable = answerUnreadable(error, socket);
      if (unreadable) options.onUnreadable(unreadable);
    },
    rewriteUrl: ({ url = "" }) => (health.has(url) ? url : "/"),
    return503OnClosing: false,
    forceCloseConnections: "idle",
    exposeHeadRoutes: true,
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", (_request, _payload, done) => done(null));
  for (const path of ["livez", "readyz"] as const) {
    app.get(`/${path}`, (_request, reply) => {
      const { status, word } = options.health[path]();
      return reply.code(status).type("text/plain").send(`${word}\n`);
    });
  }
  app.all("/", (request, reply) => {
    reply.hijack();
    return serveRaw(options, request.raw, { response: reply.raw, target: request.originalUrl });
  });
  app.setNotFoundHandler((request, reply) => {
    reply.hijack();
    return serveRaw(options, request.raw, { response: reply.raw, target: request.originalUrl });
  });
  return app;
}

const health: ReadonlySet<string> = new Set(["/livez", "/readyz"]);

async function serveRaw(
  options: AppOptions,
  request: IncomingMessage,
  { response, target }: { response: ServerResponse; target: string },
): Promise<void> {
  const exchange: Exchange = {
    request,
    response,
    target,
    id: options.requestId(request),
    startedMs: options.monotonic(),
    client: { address: request.socket.remoteAddress ?? "" },
    route: "other",
    tier: "none",
    outcome: "failed",
    bytes: 0,
  };
  await options.serve(exchange);
  options.onEnd(exchange);
}
