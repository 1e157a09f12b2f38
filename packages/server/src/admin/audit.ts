import type { FastifyRequest } from "fastify";

import type { Log } from "../observe/log.ts";

/** The log's lines about who used the admin API to change something, and who was kept out. */
export interface Audit {
  /** Adds to the line of this request. */
  note(request: FastifyRequest, facts: Readonly<Record<string, unknown>>): void;
  /** Every change is told, done or not, and whoever was kept out. */
  ended(request: FastifyRequest, status: number): void;
  /** Nobody else is told why. */
  failed(request: FastifyRequest, error: unknown): void;
}

/** Of a path in the log. */
const pathCharsMax = 400;

export function makeAudit(log: Pick<Log, "info" | "warn">): Audit {
  const notes = new WeakMap<FastifyRequest, Readonly<Record<string, unknown>>>();
  return {
    note: (request, facts) => void notes.set(request, { ...notes.get(request), ...facts }),
    ended(request, status) {
      const refused = refusals[status];
      const { method, ip: client } = request;
      const token = refused === undefined ? "admin" : tokenOf(request);
      const facts = { audit: true, client, token, method, path: pathOf(request), status, ...notes.get(request) };
      if (refused !== undefined) log.warn(facts, refused);
      else if (status < 400) log.info(facts, "changed by the admin API");
      else log.warn(facts, status === 499 ? "left before the admin API was done" : "the admin API could not do this");
    },
    failed: (request, err) => log.warn({ err, method: request.method, path: pathOf(request) }, "the admin API failed"),
  };
}

const refusals: Readonly<Record<number, string>> = {
  401: "refused by the admin API",
  403: "refused by the admin API",
  429: "refused by the admin API",
};

/** There is one token, and it is the admin's; of one that was refused nothing is known. */
const tokenOf = ({ headers }: FastifyRequest): string => (headers.authorization === undefined ? "none" : "refused");

const pathOf = ({ url }: FastifyRequest): string => (url.split("?")[0] ?? "").slice(0, pathCharsMax);
