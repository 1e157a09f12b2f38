import type { IncomingMessage, ServerResponse } from "node:http";

import { PullringError, type ErrorCode, type NodeId } from "@pullring/core";

import { formatFacts, type AnswerFacts, type ErrorFacts, type Refusal } from "./facts.ts";
import type { Caller, Gate } from "./gate.ts";
import { hashOf, sealAnswer } from "./seal.ts";
import { answerHeader, macHeader } from "./wire.ts";

/** One request of somebody who was let in. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly caller: Caller;
}

export interface Answer {
  readonly status: number;
  readonly facts: Omit<AnswerFacts, "from" | "epoch" | "boot" | "timeMs">;
  readonly length?: number;
  /** Beside the wire's own, which are sealed: names and values in turn. */
  readonly headers?: readonly string[];
}

/** How a request ended. */
export type Outcome = "ok" | "refused" | ErrorCode;

export interface AnswersOptions {
  readonly self: NodeId;
  readonly epoch: () => string;
  readonly gate: Gate;
}

/** Writes what is not streamed, and the heads of what is. */
export interface Answers {
  writeHead(exchange: Exchange, answer: Answer): void;
  refuse(exchange: Exchange, status: number, refusal: Refusal): Outcome;
  sendJson(exchange: Exchange, text: string): Outcome;
  sendError(exchange: Exchange, error: unknown): Outcome;
}

export function makeAnswers({ self, epoch, gate }: AnswersOptions): Answers {
  function writeHead({ response, caller }: Exchange, { status, facts, length = 0, headers = [] }: Answer): void {
    const text = formatFacts({ from: self, epoch: epoch(), boot: gate.boot, timeMs: gate.timeMs(), ...facts });
    const contentLength = String(length);
    const flat = ["content-length", contentLength, answerHeader, text, ...headers];
    const { seal } = caller;
    if (seal) {
      const sealed = { request: seal.request, status, contentLength, facts: text };
      flat.push(macHeader, sealAnswer(seal.secret, sealed));
    }
    response.writeHead(status, flat);
  }

  return {
    writeHead,
    refuse(exchange, status, refusal) {
      writeHead(exchange, { status, facts: { refusal } });
      exchange.response.end();
      return "refused";
    },
    sendJson(exchange, text) {
      const body = Buffer.from(text);
      writeHead(exchange, { status: 200, facts: { bodyHash: hashOf(body) }, length: body.length });
      exchange.response.end(body);
      return "ok";
    },
    sendError(exchange, error) {
      const facts = errorFactsOf(error);
      writeHead(exchange, { status: statuses[facts.code] ?? 503, facts: { error: facts } });
      exchange.response.end();
      return facts.code;
    },
  };
}

/** Nothing of a stranger's request comes back, and the connection serves no other. */
export function shut(response: ServerResponse, status: number): Outcome {
  response.writeHead(status, ["content-length", "0", "connection", "close"]);
  response.end();
  return "refused";
}

/** For whoever looks at the traffic; the peer itself goes by the code. */
const statuses: Readonly<Partial<Record<ErrorCode, number>>> = {
  missing: 404,
  denied: 404,
  throttled: 429,
  busy: 429,
  unsupported: 501,
  too_large: 413,
  corrupt: 502,
  cut: 502,
};

/** That this node could not reach some other one is not that the asking one could not reach this one. */
function errorFactsOf(error: unknown): ErrorFacts {
  if (!(error instanceof PullringError)) return { code: "unavailable", reason: "down" };
  const { code, reason, retryAfterSec } = error;
  return {
    code: code === "unreachable" ? "unavailable" : code,
    reason,
    ...(retryAfterSec !== undefined && { retryAfterSec: Math.ceil(retryAfterSec) }),
  };
}
