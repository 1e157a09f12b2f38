import type { IncomingMessage, ServerResponse } from "node:http";

import type { Access, Repository } from "@pullring/core";
import type { Digest } from "@pullring/oci";

import type { Outcome, Route } from "./errors.ts";

/** Who asks: the address behind trusted proxies, and the login if one was asked for. */
export interface Client {
  readonly address: string;
  readonly user?: string;
}

/** One request and its response, with what is told about it at its end. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly id: string;
  /** The raw request target. */
  readonly target: string;
  readonly startedMs: number;
  client: Client;
  route: Route;
  repository?: Repository;
  reference?: string;
  /** Of what is answered, where it has one. */
  digest?: Digest;
  tier: Tier;
  /** Of the bytes that are served. */
  access?: Access;
  outcome: Outcome;
  /** It got what another request had begun to fetch. */
  joined?: boolean;
  bytes: number;
  /** When the status line was written, monotonic ms. */
  firstByteMs?: number;
  error?: unknown;
}

export type Headers = Readonly<Record<string, string | string[]>>;

export type Tier = "memory" | "disk" | "peer" | "s3" | "upstream" | "none";

/** Headers of every answer; more are added per kind. */
export function commonHeaders(exchange: Exchange): Record<string, string> {
  return {
    "docker-distribution-api-version": "registry/2.0",
    "x-content-type-options": "nosniff",
    "x-request-id": exchange.id,
  };
}

const requestIdGrammar = /^[\w.-]{1,128}$/;

/** The request id of whoever stands before us, if it is a harmless word; else our own: unique in this process' life and likely beyond. */
export function makeRequestIds(seed: string): (request: IncomingMessage) => string {
  let count = 0;
  return (request) => {
    const given = request.headers["x-request-id"];
    if (typeof given === "string" && requestIdGrammar.test(given)) return given;
    count += 1;
    return `${seed}-${count.toString(36)}`;
  };
}
