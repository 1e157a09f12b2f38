import { STATUS_CODES } from "node:http";

import { fastify, type FastifyInstance, type FastifyReply } from "fastify";

import { serverLimits } from "../http/server-limits.ts";
import type { Health } from "./health.ts";

export interface AdminAppOptions {
  readonly health: Health;
  readonly metrics: { readonly contentType: string; text(): Promise<string> };
}

/** Nobody who asks here has reason to send more. */
const headBytesMax = 16 * 1024;
const bodyBytesMax = 64 * 1024;

/** The admin listener: health with its reasons, and metrics. Neither needs a token. */
export function makeAdminApp({ health, metrics }: AdminAppOptions): FastifyInstance {
  const app = fastify({
    http: {
      maxHeaderSize: headBytesMax,
      headersTimeout: serverLimits.headersTimeoutMs,
      connectionsCheckingInterval: serverLimits.connectionsCheckMs,
    },
    requestTimeout: serverLimits.requestTimeoutMs,
    bodyLimit: bodyBytesMax,
    return503OnClosing: false,
    forceCloseConnections: true,
    // What the router can't read is as little there as what it does not know.
    frameworkErrors: (_error, _request, reply) => void problem(reply, 404),
  });
  for (const path of ["livez", "readyz"] as const) {
    app.get(`/${path}`, (_request, reply) => {
      const { status, word, reasons } = health[path]();
      const text = reasons.length > 0 ? `${word}: ${reasons.join("; ")}` : word;
      return reply.code(status).type("text/plain; charset=utf-8").send(`${text}\n`);
    });
  }
  app.get("/metrics", async (_request, reply) => reply.type(metrics.contentType).send(await metrics.text()));
  app.setNotFoundHandler((_request, reply) => problem(reply, 404));
  app.setErrorHandler(({ statusCode = 500 }: { statusCode?: number }, _request, reply) => problem(reply, statusCode));
  return app;
}

/** RFC 9457. Bytes, because fastify would add a charset, which JSON has none. */
function problem(reply: FastifyReply, status: number): FastifyReply {
  const title = STATUS_CODES[status] ?? "Error";
  return reply
    .code(status)
    .header("content-type", "application/problem+json")
    .send(Buffer.from(JSON.stringify({ title, status })));
}
