import type { Clock } from "@pullring/core";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type * as z from "zod";

import type { Log } from "../observe/log.ts";
import { makeAdminGate, type AdminGate } from "./admin-gate.ts";
import { AdminProblem } from "./admin-problem.ts";
import { configAnswer } from "./answers.ts";
import { makeAudit, type Audit } from "./audit.ts";
import { cacheCalls } from "./cache-calls.ts";
import type { AdminCall, AdminFacts, Ask, PlainCall, StreamCall } from "./call.ts";
import { eventsCalls } from "./events-call.ts";
import { heldCalls } from "./held-calls.ts";
import { openApi } from "./openapi.ts";
import { openOutlet, type OpenOutlet } from "./outlet.ts";
import { quotaCalls } from "./quota-calls.ts";
import { ringCalls } from "./ring-calls.ts";
import { warmCalls } from "./warm-call.ts";

export interface AdminApiOptions extends AdminFacts {
  readonly log: Pick<Log, "info" | "warn">;
  readonly clock: Clock;
}

const base = "/admin/v1";

/** The admin API, for the admin listener's app: its routes, who may ask, and a log line for whoever changes something. */
export function makeAdminApi({ log, ...facts }: AdminApiOptions): (app: FastifyInstance) => void {
  const parts = [ringCalls, heldCalls, cacheCalls, quotaCalls, warmCalls, eventsCalls];
  const calls: readonly AdminCall[] = parts.flatMap((callsOf) => callsOf(facts));
  const document: PlainCall = {
    method: "GET",
    path: "/openapi.json",
    summary: "This document",
    changes: false,
    answer: configAnswer,
    run: () => openApi([...calls, document]),
  };
  const api = new AdminApi(makeAdminGate(facts.config.admin, facts.clock), makeAudit(log));
  return (app) =>
    void app.register((scope, _options, done) => {
      for (const call of [...calls, document]) api.route(scope, call);
      // Before the listener closes what is still open: whoever listens gets a clean end.
      scope.addHook("preClose", async () => {
        await facts.events.close();
        api.end();
      });
      done();
    });
}

class AdminApi {
  readonly #gate: AdminGate;
  readonly #audit: Audit;
  readonly #open = new Set<OpenOutlet>();

  constructor(gate: AdminGate, audit: Audit) {
    this.#gate = gate;
    this.#audit = audit;
  }

  route(scope: FastifyInstance, call: AdminCall): void {
    scope.route({
      method: call.method,
      url: base + call.path.replace(/\{\w+\*\}$/, "*").replace(/\{(\w+)\}/g, ":$1"),
      onRequest: (request, _reply, next) => {
        this.#gate(request.raw, call.changes);
        next();
      },
      handler: (request, reply) =>
        call.type === undefined ? this.#answer(call, request, reply) : this.#stream(call, request, reply),
      onError: (request, _reply, error, next) => {
        if (!(error instanceof AdminProblem) && error.statusCode === undefined) this.#audit.failed(request, error);
        next();
      },
      onResponse: (request, reply, next) => {
        const isRefused = [401, 403, 429].includes(reply.statusCode);
        // A stream tells of itself, for nobody may be there to see its end.
        if (isRefused || (call.changes && (call.type === undefined || reply.statusCode >= 400)))
          this.#audit.ended(request, reply.statusCode);
        next();
      },
    });
  }

  end(): void {
    for (const out of this.#open) out.end();
  }

  async #answer(call: PlainCall, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const result = await call.run(this.#askOf(call, request));
    return reply
      .headers({ "content-type": "application/json", "cache-control": "no-store", "x-content-type-options": "nosniff" })
      .send(Buffer.from(JSON.stringify(result)));
  }

  async #stream(call: StreamCall, request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const run = call.open(this.#askOf(call, request));
    reply.hijack();
    const out = openOutlet(reply.raw, call.type);
    this.#open.add(out);
    try {
      await run(out);
      out.end();
    } catch (error) {
      if (!out.signal.aborted) this.#audit.failed(request, error);
      // What is not whole must not look as if it were.
      out.cut();
    } finally {
      this.#open.delete(out);
      if (call.changes) this.#audit.ended(request, out.signal.aborted ? 499 : 200);
    }
  }

  #askOf(call: AdminCall, request: FastifyRequest): Ask {
    const body = bodyOf(call.body, request.body);
    return { parameter: parametersOf(call, request), body, note: (facts) => this.#audit.note(request, facts) };
  }
}

function parametersOf({ parameters = [] }: AdminCall, request: FastifyRequest): Ask["parameter"] {
  const inPath = request.params as Record<string, string>;
  const inQuery = request.query as Record<string, string | string[]>;
  const values = new Map(
    parameters.map(({ name, in: place, required }) => {
      const value = place === "path" ? (inPath[name] ?? inPath["*"]) : inQuery[name];
      if (Array.isArray(value)) throw new AdminProblem(400, `${name} is given twice`);
      if (required && !value) throw new AdminProblem(400, `${name} is missing`);
      return [name, value ?? ""] as const;
    }),
  );
  return (name) => values.get(name) ?? "";
}

function bodyOf(schema: z.ZodType | undefined, body: unknown): unknown {
  if (!schema) return undefined;
  const { success, data, error } = schema.safeParse(body);
  if (success) return data;
  const [issue] = error.issues;
  throw new AdminProblem(400, `${issue?.path.join(".") || "the body"}: ${issue?.message ?? "not understood"}`);
}
