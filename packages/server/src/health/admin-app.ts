import { STATUS_CODES } from "node:http";

import { fastify, type FastifyInstance, type FastifyReply } from "fastify";

import { AdminProblem } from "../admin/admin-problem.ts";
import { serverLimits } from "../http/server-limits.ts";
import type { Health } from "./health.ts";

export interface AdminAppOptions {
  readonly health: Health;
  readonly metrics: { readonly contentType: string; text(): Promise<string> };
  /** Adds what needs a token. */
  readonly api?: (app: FastifyInstance) => void;
  /** Adds what a browser shows. */
  readonly page?: (app: FastifyInstance) => void;
}

/** Nobody who asks here has reason to send more. */
const headBytesMax = 16 * 1024;
const bodyBytesMax = 64 * 1024;
/** A repository's name and tag, every character as `%xx`. */
const parameterCharsMax = 2 * 1024;

/** The admin listener: health with its reasons, and metrics, which need no token, the admin API, and the page over it. */
export function makeAdminApp({ health, metrics, api, page }: AdminAppOptions): FastifyInstance {
  const app = fastify({
    http: {
      maxHeaderSize: headBytesMax,
      headersTimeout: serverLimits.headersTimeoutMs,
      connectionsCheckingInterval: serverLimits.connectionsCheckMs,
    },
    requestTimeout: serverLimits.requestTimeoutMs,
    bodyLimit: bodyBytesMax,
    routerOptions: { maxParamLength: parameterCharsMax },
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
  app.setErrorHandler((error: { statusCode?: number }, _request, reply) => {
    if (!(error instanceof AdminProblem)) return problem(reply, error.statusCode ?? 500);
    if (error.retryAfterSec !== undefined) reply.header("retry-after", error.retryAfterSec);
    return problem(reply, error.status, error.message);
  });
  api?.(app);
  page?.(app);
  return app;
}

/** RFC 9457. Bytes, because fastify would add a charset, which JSON has none. */
function problem(reply: FastifyReply, status: number, detail?: string): FastifyReply {
  const title = STATUS_CODES[status] ?? "Error";
  if (status === 401) reply.header("www-authenticate", 'Bearer realm="pullring"');
  return reply
    .code(status)
    .header("content-type", "application/problem+json")
    .send(Buffer.from(JSON.stringify({ title, status, detail })));
}
