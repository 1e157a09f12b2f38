import { createHash, type Hash } from "node:crypto";
import type { OutgoingHttpHeaders, ServerResponse } from "node:http";

import { algorithmOf, type Digest } from "@pullring/oci";

import type { Exchange } from "../http/exchange.ts";
import type { ResponseLine } from "./lines.ts";

type Sent = Pick<ResponseLine, "first" | "size" | "promised" | "sent" | "last" | "hash" | "end">;

/**
 * Stands between what answers and the socket: whatever is written passes here and is hashed, so that the ledger tells of the bytes that
 * left, not of those that were meant to. The answer is known when the exchange has ended.
 */
export function watchResponse(exchange: Exchange): () => Sent {
  const { request, response } = exchange;
  const hasBody = request.method !== "HEAD";
  const seen: { promised?: Promised; hash?: Hash; sent: number } = { sent: 0 };

  function head(status: number, headers: unknown): void {
    seen.promised = promisedBy(status, headersOf(headers));
    if (hasBody && exchange.digest && isContent(status)) seen.hash = createHash(algorithmOf(exchange.digest));
  }

  function take(chunk: unknown): void {
    if (!hasBody || !(chunk instanceof Uint8Array)) return;
    seen.sent += chunk.length;
    seen.hash?.update(chunk);
  }

  tap(response, head, take);
  return () => {
    const { hash, sent, promised = {} } = seen;
    const { first, size } = promised;
    return {
      ...promised,
      sent,
      end: endOf(exchange),
      last: first !== undefined && size !== undefined && sent > 0 && first + sent >= size,
      ...(hash ? { hash: `${algorithmOf(exchange.digest as Digest)}:${hash.digest("hex")}` } : {}),
    };
  };
}

const isContent = (status: number): boolean => status === 200 || status === 206;

type Method = (this: ServerResponse, ...args: unknown[]) => never;

/** Node's own methods stay in charge: each call is passed on as it came. */
function tap(
  response: ServerResponse,
  onHead: (status: number, headers: unknown) => void,
  onChunk: (chunk: unknown) => void,
): void {
  const { writeHead, write, end } = response as unknown as Record<"writeHead" | "write" | "end", Method>;
  response.writeHead = (...args: unknown[]) => {
    onHead(args[0] as number, args.at(-1));
    return writeHead.apply(response, args);
  };
  const passing =
    (method: Method) =>
    (...args: unknown[]): never => {
      onChunk(args[0]);
      return method.apply(response, args);
    };
  response.write = passing(write);
  response.end = passing(end);
}

/** A list of names and values, or an object of them. */
function headersOf(headers: unknown): OutgoingHttpHeaders {
  if (!Array.isArray(headers)) return (headers ?? {}) as OutgoingHttpHeaders;
  const found: OutgoingHttpHeaders = {};
  for (let at = 0; at + 1 < headers.length; at += 2) found[String(headers[at]).toLowerCase()] = String(headers[at + 1]);
  return found;
}

type Promised = Pick<ResponseLine, "first" | "size" | "promised">;

function promisedBy(status: number, headers: OutgoingHttpHeaders): Promised {
  const length = headers["content-length"];
  const promised = length === undefined ? {} : { promised: Number(length) };
  if (status === 200 && length !== undefined) return { ...promised, first: 0, size: Number(length) };
  const [, first, size] = /^bytes (\d+)-\d+\/(\d+)$/.exec(String(headers["content-range"])) ?? [];
  return status === 206 && size !== undefined ? { ...promised, first: Number(first), size: Number(size) } : promised;
}

function endOf({ response, outcome }: Exchange): ResponseLine["end"] {
  if (response.writableEnded) return "clean";
  return outcome === "cut" && !response.destroyed ? "cut" : "left";
}
