import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { textBytes } from "./bytes.ts";
import { classify } from "./classify.ts";
import type { Fault, Faults } from "./faults.ts";
import type { HubKnobs } from "./knobs.ts";
import type { HubOrigin, Ledger, LedgerEntry } from "./ledger.ts";
import type { Pace } from "./pace.ts";
import type { Exchange, Reply } from "./reply.ts";
import { hangUp, send } from "./send.ts";

/** What an origin says: first whether it refuses, then, if not, its answer. */
export interface Answers {
  refuse(exchange: Exchange): Reply | undefined;
  answer(exchange: Exchange): Reply | Promise<Reply>;
}

export interface OriginOptions {
  readonly name: HubOrigin;
  readonly host: string;
  readonly port: number;
  readonly tls?: { readonly key: string | Buffer; readonly cert: string | Buffer } | undefined;
  readonly answers: Answers;
  readonly knobs: HubKnobs;
  readonly faults: Faults;
  readonly ledger: Ledger;
  readonly line: Pace;
  readonly now: () => number;
}

export interface Origin {
  readonly port: number;
  close(): Promise<void>;
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

function entryFor(request: IncomingMessage, options: OriginOptions): LedgerEntry {
  const { method = "GET", url = "/", headers, socket } = request;
  const mark = url.indexOf("?");
  const path = decoded(mark < 0 ? url : url.slice(0, mark));
  const target = classify(options.name, path, { method, isRanged: headers.range !== undefined });
  return {
    at: options.now(),
    origin: options.name,
    method,
    path,
    query: mark < 0 ? "" : url.slice(mark + 1),
    kind: target.kind,
    repository: target.repository,
    reference: target.reference,
    range: headers.range,
    authorization: headers.authorization?.split(" ")[0]?.toLowerCase(),
    headers,
    remoteAddress: (socket.remoteAddress ?? "").replace(/^::ffff:/, ""),
    account: undefined,
    status: 0,
    bytesSent: 0,
    counted: false,
    done: false,
  };
}

function redirectFault(fault: Fault, hit: number, exchange: Exchange): Reply | undefined {
  const targets = typeof fault.redirectTo === "string" ? [fault.redirectTo] : (fault.redirectTo ?? []);
  const location = fault.redirectLoop === true ? exchange.request.url : targets[Math.min(hit, targets.length - 1)];
  return location === undefined ? undefined : { status: fault.redirectStatus ?? 307, headers: { location } };
}

/** The answer that a fault gives in place of the true one. */
function replacement(fault: Fault, hit: number, exchange: Exchange): Reply | undefined {
  if (fault.status === undefined) return redirectFault(fault, hit, exchange);
  const body = textBytes(fault.body ?? `scripted ${fault.status}\n`);
  return { status: fault.status, headers: { "content-type": "text/plain" }, body };
}

/** Faults come after authorization unless they ask to come before it. */
async function replyTo(exchange: Exchange, { answers, faults }: OriginOptions): Promise<[Exchange, Reply]> {
  const early = faults.take(exchange.entry, true);
  const refusal = early === undefined ? answers.refuse(exchange) : undefined;
  if (refusal !== undefined) return [exchange, refusal];
  const taken = early ?? faults.take(exchange.entry, false);
  if (taken === undefined) return [exchange, await answers.answer(exchange)];
  const { fault, hit } = taken;
  const faulty = { ...exchange, fault };
  const isSilent = fault.hang === true || fault.close !== undefined;
  const replaced = isSilent ? silence : replacement(fault, hit, faulty);
  const belated = early === undefined ? undefined : answers.refuse(faulty);
  return [faulty, replaced ?? belated ?? (await answers.answer(faulty))];
}

const silence: Reply = { status: 0, headers: {} };

/** Ends, or keeps open, a connection that gets no answer. */
async function keepSilent({ fault }: Exchange, response: ServerResponse): Promise<void> {
  if (fault.close !== undefined) hangUp(response.socket, fault.close);
  const { promise, resolve } = Promise.withResolvers<void>();
  response.once("close", resolve);
  if (!response.closed) await promise;
}

async function handle(request: IncomingMessage, response: ServerResponse, options: OriginOptions): Promise<void> {
  const { knobs, ledger } = options;
  const entry = entryFor(request, options);
  const controller = new AbortController();
  response.once("close", () => controller.abort());
  // A write to a client that has just left.
  response.once("error", () => controller.abort());
  ledger.record(entry, true);
  try {
    if (knobs.latencyMs > 0) await sleep(knobs.latencyMs, undefined, { signal: controller.signal });
    const asked = { request, path: entry.path, query: new URLSearchParams(entry.query), entry, fault: {} };
    const [exchange, reply] = await replyTo(asked, options);
    if (reply === silence) await keepSilent(exchange, response);
    else await send({ ...options, response, exchange, reply, signal: controller.signal });
  } catch (error) {
    if (!controller.signal.aborted) throw error;
  } finally {
    entry.done = true;
    ledger.record(entry);
  }
}

/** One listening origin of a hub. */
export async function startOrigin(options: OriginOptions): Promise<Origin> {
  const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
    // A bug in the simulator must not look like a fault of the network, so it ends the process.
    void handle(request, response, options);
  };
  const settings = { maxHeaderSize: 128 * 1024, keepAliveTimeout: 75_000, requestTimeout: 0 };
  const server =
    options.tls === undefined
      ? createHttpServer(settings, onRequest)
      : createHttpsServer({ ...settings, ...options.tls }, onRequest);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject).listen(options.port, options.host, resolve);
  await promise;
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      const { promise, resolve } = Promise.withResolvers<void>();
      server.close(() => resolve());
      server.closeAllConnections();
      await promise;
    },
  };
}
