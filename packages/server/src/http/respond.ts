import type { Body } from "@pullring/core";
import { parseRange, type Digest, type Span } from "@pullring/oci";

import type { ByteMover } from "./byte-mover.ts";
import { cutConnection } from "./cut.ts";
import { renderError, type ErrorAnswer } from "./errors.ts";
import { commonHeaders, type Exchange, type Headers } from "./exchange.ts";
import { contentRange, multipartOf } from "./multipart.ts";

/** A body with a digest, and the headers that go with it whatever the client asks of it. */
export interface Representation {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly body: Body;
  readonly headers: Headers;
}

/** What of a body is sent, and under which status. */
interface Selection {
  readonly status: number;
  readonly headers: Headers;
  readonly parts: readonly (Span | Buffer)[];
}

/** Writes answers. Every one ends here: whole, or cut. */
export class Responder {
  readonly #mover: ByteMover;
  readonly #monotonic: () => number;

  constructor(mover: ByteMover, monotonic: () => number) {
    this.#mover = mover;
    this.#monotonic = monotonic;
  }

  /** Answers a GET or HEAD with a body: conditions, ranges, bytes. Closes the body. */
  async sendBody(exchange: Exchange, representation: Representation): Promise<void> {
    const { body } = representation;
    exchange.digest = representation.digest;
    try {
      const { status, headers, parts } = select(exchange, representation);
      this.#writeHead(exchange, status, headers);
      if (!this.#sendWhole(exchange, body, parts)) await this.#sendParts(exchange, body, parts);
    } finally {
      body.close();
    }
  }

  sendBytes(exchange: Exchange, answer: { status: number; headers: Headers; bytes: Buffer }): void {
    const { bytes, headers, status } = answer;
    this.#writeHead(exchange, status, { ...headers, "content-length": String(bytes.length) });
    const body = exchange.request.method === "HEAD" ? undefined : bytes;
    exchange.bytes += body?.length ?? 0;
    exchange.response.end(body);
  }

  sendError(exchange: Exchange, answer: ErrorAnswer): void {
    exchange.outcome = answer.outcome;
    const headers = { ...answer.headers, "content-type": "application/json" };
    this.sendBytes(exchange, { status: answer.status, headers, bytes: renderError(answer) });
  }

  #writeHead(exchange: Exchange, status: number, headers: Headers): void {
    exchange.firstByteMs = this.#monotonic();
    exchange.response.writeHead(status, flat(commonHeaders(exchange), headers));
  }

  /** Bytes that are in memory leave in one write with the head: half of the system calls. False when the body is not like that. */
  #sendWhole(exchange: Exchange, body: Body, [part, ...more]: Selection["parts"]): boolean {
    if (!body.bytes || !part || more.length > 0 || Buffer.isBuffer(part)) return false;
    exchange.bytes += part.end - part.start;
    exchange.response.end(body.bytes.subarray(part.start, part.end));
    return true;
  }

  /** What does not come is cut, never ended: a short body that ends well would be taken for the whole. */
  async #sendParts(exchange: Exchange, body: Body, parts: Selection["parts"]): Promise<void> {
    const { response } = exchange;
    try {
      for (const part of parts) {
        const length = Buffer.isBuffer(part) ? part.length : part.end - part.start;
        if (Buffer.isBuffer(part)) response.write(part);
        const moved = Buffer.isBuffer(part) ? length : await this.#mover.move(response, body, part);
        exchange.bytes += moved;
        if (moved < length) {
          exchange.outcome = "cut";
          return;
        }
      }
      response.end();
    } catch (error) {
      exchange.outcome = "cut";
      exchange.error = error;
      cutConnection(response);
    }
  }
}

/** Node takes a flat list of names and values as it is, and checks an object name by name. */
function flat(...all: readonly Headers[]): string[] {
  const list: string[] = [];
  for (const headers of all) {
    for (const name in headers) {
      const value = headers[name] ?? [];
      if (typeof value === "string") list.push(name, value);
      else for (const one of value) list.push(name, one);
    }
  }
  return list;
}

/** Conditions first, then the range (RFC 9110 §13.2.2). */
function select(exchange: Exchange, { digest, mediaType, body, headers }: Representation): Selection {
  const { request } = exchange;
  const { size } = body;
  const etag = `"${digest}"`;
  const validators = { ...headers, "docker-content-digest": digest, etag, "accept-ranges": "bytes" };
  if (matches(request.headers["if-none-match"], digest)) {
    exchange.outcome = "not_modified";
    return { status: 304, headers: validators, parts: [] };
  }
  const whole = { ...validators, "content-type": mediaType, "content-length": String(size) };
  if (request.method === "HEAD") return { status: 200, headers: whole, parts: [] };
  const condition = request.headers["if-range"];
  const answer = parseRange(condition === undefined || condition === etag ? request.headers.range : undefined, size);
  if (answer.kind === "whole") return { status: 200, headers: whole, parts: [{ start: 0, end: size }] };
  if (answer.kind === "unsatisfiable") {
    exchange.outcome = "invalid";
    const unsatisfiable = { "content-range": `bytes */${size}`, "content-length": "0" };
    return { status: 416, headers: { ...validators, ...unsatisfiable }, parts: [] };
  }
  const [span, ...more] = answer.spans;
  if (span && more.length === 0) {
    const range = { "content-length": String(span.end - span.start), "content-range": contentRange(span, size) };
    return { status: 206, headers: { ...whole, ...range }, parts: [span] };
  }
  const { contentType, length, parts } = multipartOf(answer.spans, { size, mediaType, boundary: exchange.id });
  return {
    status: 206,
    headers: { ...validators, "content-type": contentType, "content-length": String(length) },
    parts,
  };
}

/** If-None-Match, weakly (RFC 9110 §13.1.2), and unquoted as some clients send a digest. */
function matches(header: string | undefined, digest: Digest): boolean {
  return (header ?? "").split(",").some((entry) => {
    const tag = entry
      .trim()
      .replace(/^W\//, "")
      .replace(/^"(.*)"$/, "$1");
    return tag === digest || tag === "*";
  });
}
