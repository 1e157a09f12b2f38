import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type * as z from "zod";

import type { Log } from "../observe/log.ts";
import { makeAdminGate } from "./admin-gate.ts";
import { AdminProblem } from "./admin-problem.ts";
import { configAnswer } from "./answers.ts";
import { cacheCalls } from "./cache-calls.ts";
import type { AdminCall, AdminFacts, Ask } from "./call.ts";
import { openApi } from "./openapi.ts";
import { quotaCalls } from "./quota-calls.ts";
import { ringCalls } from "./ring-calls.ts";

export interface AdminApiOptions extends AdminFacts {
  readonly log: Pick<Log, "info" | "warn">;
}

const base = "/admin/v1";
/** Of a path in the log. */
const pathCharsMax = 400;

/** The admin API, for the admin listener's app: its routes, who may ask, and a log line for whoever changes something. */
export function makeAdminApi({ log, ...facts }: AdminApiOptions): (app: FastifyInstance) => void {
  const calls = [...ringCalls(facts), ...cacheCalls(facts), ...quotaCalls(facts)];
  const document: AdminCall = {
    method: "GET",
    path: "/openapi.json",
    summary: "This document",
    changes: false,
    answer: configAnswer,
    run: () => openApi([...calls, document]),
  };
  const gate = makeAdminGate(facts.config.admin);
  return (app) =>
    void app.register((scope, _options, done) => {
      for (const call of [...calls, document]) {
        const url = base + call.path.replace(/\{\w+\*\}$/, "*").replace(/\{(\w+)\}/g, ":$1");
        scope.route({
          method: call.method,
          url,
          onRequest: (request, _reply, next) => {
            gate(request.raw, call.changes);
            next();
          },
          handler: (request, reply) => answer(call, request, reply),
          onResponse: (request, reply, next) => {
            if (call.changes || isRefused(reply)) audit(log, request, reply);
            next();
          },
        });
      }
      done();
    });
}

async function answer(call: AdminCall, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const result = await call.run({ parameter: parametersOf(call, request), body: bodyOf(call.body, request.body) });
  return reply
    .headers({ "content-type": "application/json", "cache-control": "no-store", "x-content-type-options": "nosniff" })
    .send(Buffer.from(JSON.stringify(result)));
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

const isRefused = ({ statusCode }: FastifyReply): boolean => statusCode === 401 || statusCode === 403;

/** Every change is told, done or not, and whoever was kept out. */
function audit(log: Pick<Log, "info" | "warn">, request: FastifyRequest, reply: FastifyReply): void {
  const { method, ip, url } = request;
  const status = reply.statusCode;
  const [path = ""] = url.split("?");
  const facts = { audit: true, client: ip, method, path: path.slice(0, pathCharsMax), status };
  if (status < 400) log.info(facts, "changed by the admin API");
  else log.warn(facts, isRefused(reply) ? "refused by the admin API" : "the admin API could not do this");
}
