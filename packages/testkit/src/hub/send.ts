import { once } from "node:events";
import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { gzipSync } from "node:zlib";
import { type Bytes, bytesOf, chunkBytes, readAll } from "./bytes.ts";
import type { HubKnobs } from "./knobs.ts";
import type { Ledger } from "./ledger.ts";
import { makePace, type Pace } from "./pace.ts";
import type { Exchange, Reply } from "./reply.ts";

const gzipBytesMax = 1024 * 1024;
/** Writes per second of a paced body, at most. */
const pacedWritesPerSec = 200;

export interface Delivery {
  readonly response: ServerResponse;
  readonly exchange: Exchange;
  readonly reply: Reply;
  readonly knobs: HubKnobs;
  readonly ledger: Ledger;
  /** The line that all answers of the hub share. */
  readonly line: Pace;
  /** Aborted when the client has left or the hub closes. */
  readonly signal: AbortSignal;
}

const empty = bytesOf(new Uint8Array());

/** Ends a connection in the middle of whatever it was doing. */
export function hangUp(socket: Socket | null, by: "fin" | "rst"): void {
  if (by === "fin") socket?.destroySoon();
  // A TLS socket has no RST of its own.
  else if (socket !== null && !("encrypted" in socket)) socket.resetAndDestroy();
  else socket?.destroy();
}

function encoded({ reply, exchange, knobs }: Delivery): { body: Bytes; headers: Record<string, string> } {
  const { body = empty } = reply;
  const isOffered = /\bgzip\b/.test(exchange.request.headers["accept-encoding"] ?? "");
  const isWished = knobs.gzipWhenAccepted && isOffered && body.size <= gzipBytesMax && reply.status === 200;
  if (exchange.fault.gzip !== true && !isWished) return { body, headers: {} };
  return { body: bytesOf(gzipSync(readAll(body), { level: 1 })), headers: { "content-encoding": "gzip" } };
}

function writeHead({ response, reply, exchange }: Delivery, size: number, extra: Record<string, string>): void {
  const { fault } = exchange;
  const framing = fault.framing ?? reply.framing ?? "length";
  for (const [name, value] of Object.entries({ ...reply.headers, ...extra })) response.setHeader(name, value);
  if (framing === "length" && reply.status !== 304) {
    response.setHeader("content-length", size + (fault.contentLengthDelta ?? 0));
  }
  if (framing === "close") response.removeHeader("transfer-encoding");
  if (fault.contentRange !== undefined) response.setHeader("content-range", fault.contentRange);
  for (const [name, value] of Object.entries(fault.headers ?? {})) {
    if (value === null) response.removeHeader(name);
    else response.setHeader(name, value);
  }
  response.writeHead(reply.status);
}

function chunkSizeFor({ knobs, exchange }: Delivery): number {
  const rates = [exchange.fault.dripBytesPerSec, knobs.responseBytesPerSec, knobs.bandwidthBytesPerSec];
  const slowest = Math.min(...rates.map((rate) => rate ?? Number.POSITIVE_INFINITY));
  return Math.max(1, Math.min(chunkBytes, Math.ceil(slowest / pacedWritesPerSec)));
}

async function writeBody(delivery: Delivery, body: Bytes, end: number): Promise<void> {
  const { response, exchange, knobs, ledger, line, signal } = delivery;
  const ownPace = makePace(() => exchange.fault.dripBytesPerSec ?? knobs.responseBytesPerSec);
  const step = chunkSizeFor(delivery);
  for (let offset = 0; offset < end && !signal.aborted; offset += step) {
    const chunk = Buffer.allocUnsafeSlow(Math.min(step, end - offset));
    body.copy(chunk, offset);
    await ownPace(chunk.length, signal);
    await line(chunk.length, signal);
    if (!response.write(chunk)) await once(response, "drain", { signal });
    exchange.entry.bytesSent += chunk.length;
    ledger.record(exchange.entry);
  }
}

/** What follows the body: nothing special, a stall, or the end of the connection. */
async function conclude({ response, exchange, signal }: Delivery): Promise<void> {
  const { stallAfterBytes, cutAfterBytes, cutBy = "fin", contentLengthDelta = 0 } = exchange.fault;
  if (stallAfterBytes !== undefined) {
    await once(response, "close", { signal });
  } else if (cutAfterBytes !== undefined || contentLengthDelta !== 0) {
    // RST throws away what the kernel has not got yet, so that must be with it.
    if (cutBy === "rst" && response.writableNeedDrain) await once(response, "drain", { signal });
    hangUp(response.socket, cutBy);
  } else response.end();
}

function sendRaw({ response, exchange }: Delivery, raw: string): void {
  const { socket } = response;
  exchange.entry.bytesSent = raw.length;
  socket?.end(raw, "latin1");
}

async function sendReply(delivery: Delivery): Promise<void> {
  const { response, exchange, reply } = delivery;
  const { body, headers } = encoded(delivery);
  const { stallAfterBytes = body.size, cutAfterBytes = body.size } = exchange.fault;
  writeHead(delivery, body.size, headers);
  if (exchange.request.method === "HEAD" || reply.status === 304 || body.size === 0) {
    response.end();
    return;
  }
  response.flushHeaders();
  await writeBody(delivery, body, Math.min(body.size, stallAfterBytes, cutAfterBytes));
  await conclude(delivery);
}

/** Brings an answer to the client, with what the fault does to it on the way. */
export async function send(delivery: Delivery): Promise<void> {
  const { exchange, reply, ledger, response, signal } = delivery;
  exchange.entry.status = reply.status;
  ledger.record(exchange.entry);
  try {
    if (reply.raw !== undefined) sendRaw(delivery, reply.raw);
    else await sendReply(delivery);
    if (!response.closed && !signal.aborted) await once(response, "close", { signal });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
