import { fastify, type FastifyInstance } from "fastify";

import { serverLimits } from "../http/server-limits.ts";
import type { Health } from "./health.ts";

export interface AdminAppOptions {
  readonly health: Health;
  readonly metrics: { readonly contentType: string; text(): Promise<string> };
}

/** The admin listener: health with its reasons, and metrics. Neither needs a token. */
export function makeAdminApp({ health, metrics }: AdminAppOptions): FastifyInstance {
  const app = fastify({
    requestTimeout: serverLimits.requestTimeoutMs,
    bodyLimit: serverLimits.headBytesMax,
    return503OnClosing: false,
    forceCloseConnections: true,
  });
  for (const path of ["livez", "readyz"] as const) {
    app.get(`/${path}`, (_request, reply) => {
      const { status, word, reasons } = health[path]();
      const text = reasons.length > 0 ? `${word}: ${reasons.join("; ")}` : word;
      return reply.code(status).type("text/plain; charset=utf-8").send(`${text}\n`);
    });
  }
  app.get("/metrics", async (_request, reply) => reply.type(metrics.contentType).send(await metrics.text()));
  app.setNotFoundHandler((_request, reply) =>
    // RFC 9457
    reply.code(404).type("application/problem+json").send({ title: "Not Found", status: 404 }),
  );
  return app;
}
