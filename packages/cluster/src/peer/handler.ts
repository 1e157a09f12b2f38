import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";

import { PullringError, type Body, type Clock, type NodeId, type PeerService } from "@pullring/core";

import { peerLimits } from "../limits.ts";
import { makeAnswers, shut, type Answers, type Exchange, type Outcome } from "./answers.ts";
import { formatFacts, formatResolved, type Cause } from "./facts.ts";
import { makeGate, type Gate, type PeerSelf } from "./gate.ts";
import { hashOf } from "./seal.ts";
import type { PeerTrust } from "./trust.ts";
import {
  parseOffset,
  parseOrder,
  parsePurge,
  parseTarget,
  targetPrefix,
  wireVersion,
  type AdminView,
  type PeerTarget,
} from "./wire.ts";

/** How the bytes of a body leave. */
export interface PeerSender {
  /** Sends bytes [start, end); resolves to how many went, fewer when the peer has left. Rejects with the body's error. */
  send(response: ServerResponse, body: Body, start: number, end: number): Promise<number>;
  /** Ends the connection by FIN before its Content-Length. */
  cut(response: ServerResponse): void;
}

/** One request of a peer, or of somebody who is none (`refused`). */
export interface PeerServed {
  readonly verb: PeerTarget["kind"] | "other";
  readonly outcome: Outcome;
}

/** What a peer that was let in asks for. */
export interface PeerAsking {
  readonly from: NodeId;
  readonly target: PeerTarget;
  readonly cause: Cause | undefined;
}

export interface PeerHandlerOptions {
  readonly service: PeerService;
  readonly self: PeerSelf;
  /** Of this start. */
  readonly incarnation: string;
  readonly epoch: () => string;
  readonly trust: PeerTrust;
  /** The host of a member, as this node knows it: for its certificate. */
  readonly hostOf: (node: NodeId) => string | undefined;
  readonly clock: Clock;
  /** What a peer's admin API is told of this node's fills: JSON. */
  readonly fills: () => unknown;
  /** The same of its lanes; absent = it has none that are counted. */
  readonly quota?: () => unknown;
  /** The same of what else it tells; absent = nothing. */
  readonly view?: (view: AdminView, query: string) => unknown;
  readonly sender: PeerSender;
  readonly observe?: (served: PeerServed) => void;
  /** Goes around what is done for one request of a peer. */
  readonly around?: (asking: PeerAsking, run: () => Promise<Outcome>) => Promise<Outcome>;
  /** The ring that a peer has told of. */
  readonly onEpoch?: (node: NodeId, epoch: string) => void;
  /** Told of what is no PullringError: a fault of this node's own. */
  readonly onFault?: (error: unknown) => void;
}

/** The receiving end. Every answer to a peer is sealed; a stranger gets an empty one. */
export function makePeerHandler(options: PeerHandlerOptions): RequestListener {
  const handler = new PeerHandler(options);
  return (request, response) => {
    handler.serve(request, response).then(
      (served) => options.observe?.(served),
      (error: unknown) => {
        options.onFault?.(error);
        response.destroy();
      },
    );
  };
}

type TargetOf<K extends PeerTarget["kind"]> = Extract<PeerTarget, { kind: K }>;

class PeerHandler {
  readonly #options: PeerHandlerOptions;
  readonly #gate: Gate;
  readonly #answers: Answers;

  constructor(options: PeerHandlerOptions) {
    const { epoch, self } = options;
    this.#options = options;
    this.#gate = makeGate(options);
    this.#answers = makeAnswers({ self: self.id, epoch, gate: this.#gate });
  }

  async serve(request: IncomingMessage, response: ServerResponse): Promise<PeerServed> {
    const { method, url = "" } = request;
    if (!url.startsWith(targetPrefix)) return { verb: "other", outcome: shut(response, 404) };
    const body = await bodyOf(request);
    if (body === undefined) return { verb: "other", outcome: shut(response, 400) };
    const target = parseTarget(method, url);
    const verb = target?.kind ?? "other";
    const caller = this.#gate.admit(request, body, verb === "hello");
    if (!caller) return { verb, outcome: shut(response, 401) };
    this.#options.onEpoch?.(caller.from, caller.epoch);
    const exchange = { request, response, caller };
    if (caller.refusal) return { verb, outcome: this.#answers.refuse(exchange, 401, caller.refusal) };
    if (!target) return { verb, outcome: this.#answers.refuse(exchange, 404, "verb") };
    const { around = (_, run) => run() } = this.#options;
    const asking = { from: caller.from, target, cause: caller.cause };
    return { verb, outcome: await around(asking, () => this.#answerOrFail(exchange, target, body)) };
  }

  async #answerOrFail(exchange: Exchange, target: PeerTarget, body: string): Promise<Outcome> {
    try {
      return await this.#answer(exchange, target, body);
    } catch (error) {
      if (!(error instanceof PullringError)) this.#options.onFault?.(error);
      if (exchange.response.headersSent) throw error;
      return this.#answers.sendError(exchange, error);
    }
  }

  #answer(exchange: Exchange, target: PeerTarget, body: string): Outcome | Promise<Outcome> {
    switch (target.kind) {
      case "hello":
        return this.#greet(exchange);
      case "fills":
        return this.#answers.sendJson(exchange, JSON.stringify(this.#options.fills()));
      case "quota":
        return this.#tellQuota(exchange);
      case "admin":
        return this.#tellView(exchange, target);
      case "purge":
        return this.#purge(exchange, body);
      case "fetch":
        return this.#fetch(exchange, body);
      case "manifest":
        return this.#sendManifest(exchange, target);
      case "tag":
        return this.#resolve(exchange, target);
      case "blob":
        return exchange.request.method === "HEAD"
          ? this.#tellHolding(exchange, target)
          : this.#openBlob(exchange, target);
    }
    return target satisfies never;
  }

  #greet(exchange: Exchange): Outcome {
    const { self, incarnation, epoch } = this.#options;
    const greeting = { id: self.id, incarnation, epoch: epoch(), version: wireVersion };
    return this.#answers.sendJson(exchange, formatFacts(greeting));
  }

  async #tellQuota(exchange: Exchange): Promise<Outcome> {
    return this.#answers.sendJson(exchange, JSON.stringify((await this.#options.quota?.()) ?? []));
  }

  async #tellView(exchange: Exchange, { view, query }: TargetOf<"admin">): Promise<Outcome> {
    const { view: tell } = this.#options;
    if (!tell) return this.#answers.refuse(exchange, 404, "verb");
    return this.#answers.sendJson(exchange, JSON.stringify(await tell(view, query)));
  }

  async #purge(exchange: Exchange, body: string): Promise<Outcome> {
    const order = parsePurge(body, this.#options.clock.now());
    if (!order) return this.#answers.refuse(exchange, 400, "order");
    await this.#options.service.purge(order);
    return this.#answers.sendJson(exchange, "{}");
  }

  /** No digest that was asked for vouches for these bytes, and what they cost must not be changed on the way. */
  async #fetch(exchange: Exchange, body: string): Promise<Outcome> {
    const order = parseOrder(body);
    if (!order) return this.#answers.refuse(exchange, 400, "order");
    const { answer, outcome } = await this.#options.service.fetch(order);
    const { bytes, lane, digest, mediaType } = answer;
    const told = { ...(digest !== undefined && { digest }), ...(mediaType !== undefined && { mediaType }) };
    const facts = { access: lane.access, outcome, bodyHash: hashOf(bytes), ...told };
    this.#answers.writeHead(exchange, { status: 200, facts, length: bytes.length });
    exchange.response.end(bytes);
    return "ok";
  }

  async #sendManifest(exchange: Exchange, { verb, repository, digest }: TargetOf<"manifest">): Promise<Outcome> {
    const { bytes, mediaType, access } = await this.#options.service.manifest(verb, repository, digest);
    this.#answers.writeHead(exchange, { status: 200, facts: { access, mediaType }, length: bytes.length });
    exchange.response.end(bytes);
    return "ok";
  }

  async #resolve(exchange: Exchange, { repository, tag, verb }: TargetOf<"tag">): Promise<Outcome> {
    const { service, clock } = this.#options;
    return this.#answers.sendJson(exchange, formatResolved(await service.resolve(repository, tag, verb), clock.now()));
  }

  async #tellHolding(exchange: Exchange, { repository, digest }: TargetOf<"blob">): Promise<Outcome> {
    const holding = await this.#options.service.holding(repository, digest);
    if (!holding) throw new PullringError("missing", "not held");
    const { access, state, bytes, size } = holding;
    const facts = { access, state, bytes, ...(size !== undefined && { size }) };
    this.#answers.writeHead(exchange, { status: 200, facts });
    exchange.response.end();
    return "ok";
  }

  async #openBlob(exchange: Exchange, { verb, repository, digest }: TargetOf<"blob">): Promise<Outcome> {
    const { request, caller } = exchange;
    const offset = parseOffset(request.headers.range);
    if (offset === undefined) return this.#answers.refuse(exchange, 400, "order");
    const order = { verb, repository, digest, from: caller.from, offset };
    const { body, access, whole } = await this.#options.service.openBlob(order);
    try {
      const { size } = body;
      // That there is nothing left to send is no statement about the blob.
      if (offset > 0 && offset >= size) return this.#answers.refuse(exchange, 416, "order");
      const headers = offset === 0 ? [] : ["content-range", `bytes ${offset}-${size - 1}/${size}`];
      const facts = { access, size, offset, ...(whole && { state: "whole" as const }) };
      this.#answers.writeHead(exchange, { status: offset === 0 ? 200 : 206, facts, length: size - offset, headers });
      return await this.#sendBody(exchange.response, body, offset);
    } finally {
      body.close();
    }
  }

  /** What does not come is cut, never ended. */
  async #sendBody(response: ServerResponse, body: Body, offset: number): Promise<Outcome> {
    const { sender } = this.#options;
    try {
      const sent = body.size === offset ? 0 : await sender.send(response, body, offset, body.size);
      if (sent === body.size - offset) {
        response.end();
        return "ok";
      }
      response.destroy();
    } catch {
      sender.cut(response);
    }
    return "cut";
  }
}

/** The bounded body of a POST; empty for the others. undefined = one that does not belong there, is too long or broke. */
async function bodyOf(request: IncomingMessage): Promise<string | undefined> {
  const { method, headers } = request;
  const length = Number(headers["content-length"] ?? 0);
  if (headers["transfer-encoding"] !== undefined) return undefined;
  if (method !== "POST") return length === 0 ? "" : undefined;
  if (length > peerLimits.purgeBytesMax) return undefined;
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of request) chunks.push(chunk as Buffer);
  } catch {
    return undefined;
  }
  return Buffer.concat(chunks).toString();
}
