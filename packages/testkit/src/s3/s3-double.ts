import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

import { faultFor, type S3Asked, type S3Fault, type S3FaultRule } from "./faults.ts";
import { isSignedBy } from "./signature.ts";
import { beginUpload, etagOf, withoutFraming, type S3Contents, type S3Object } from "./objects.ts";
import { document, errorDocument, listing, partListing, uploadListing } from "./xml.ts";

/** What services do differently. A test may change it at any time. */
export interface S3Knobs {
  /** Conditions on writes. */
  conditions: "honoured" | "ignored" | "refused";
  ranges: boolean;
  parts: boolean;
  /** Takes the framing of streamed bodies off; old services store it. */
  framing: boolean;
  /** Keys of one page of a listing. */
  keysMax: number;
  /** How much older objects and uploads are said to be than they are. */
  agedMs: number;
  /** Requests must be signed with it; undefined takes all. */
  secret: string | undefined;
}

export interface S3Request extends S3Asked {
  readonly headers: IncomingMessage["headers"];
  readonly status: number;
}

/** Enough of S3 over HTTP for one bucket, whatever its name. Faults go by script. */
export interface S3Double extends S3Contents {
  readonly endpoint: string;
  readonly knobs: S3Knobs;
  readonly faults: S3FaultRule[];
  /** Those that were answered. */
  readonly requests: readonly S3Request[];
  /** Answered requests of a method whose target fits. */
  count(method: string, target?: RegExp): number;
  /** Connections that are open now. */
  connections(): Promise<number>;
  close(): Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly headers?: Record<string, string>;
  readonly body?: Buffer | string;
}

interface Ask extends S3Asked {
  readonly url: string;
  readonly key: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

const refusal = (status: number, code: string): Answer => ({ status, body: errorDocument(code) });

export async function startS3Double(knobs: Partial<S3Knobs> = {}): Promise<S3Double> {
  const settings: S3Knobs = { ...usual, ...knobs };
  const contents: S3Contents = { objects: new Map(), uploads: new Map() };
  const faults: S3FaultRule[] = [];
  const requests: S3Request[] = [];
  const closing = new AbortController();

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const ask = await read(request);
    const fault = faultFor(faults, ask);
    if (fault === "reset") return void request.socket.resetAndDestroy();
    if (fault === "silence") return;
    if (isObject(fault) && "latencyMs" in fault) await sleep(fault.latencyMs, undefined, { signal: closing.signal });
    const answer =
      isObject(fault) && "status" in fault ? refusal(fault.status, fault.code) : handle(ask, contents, settings);
    if (fault === "lost_answer") return void request.socket.resetAndDestroy();
    requests.push({ method: ask.method, target: ask.target, headers: ask.headers, status: answer.status });
    await send(response, answer, { fault, isHead: ask.method === "HEAD" });
  }

  const server = createServer((request, response) => {
    // A client that leaves in the middle of its request is no failure of a test.
    serve(request, response).catch(() => response.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;

  return {
    ...contents,
    endpoint: `http://127.0.0.1:${port}`,
    knobs: settings,
    faults,
    requests,
    count: (method, target = /./) =>
      requests.filter((request) => request.method === method && target.test(request.target)).length,
    connections: () =>
      new Promise((resolve, reject) => {
        server.getConnections((error, count) => (error ? reject(error) : resolve(count)));
      }),
    async close() {
      closing.abort();
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

const usual: S3Knobs = {
  conditions: "honoured",
  ranges: true,
  parts: true,
  framing: true,
  keysMax: 1_000,
  agedMs: 0,
  secret: undefined,
};
const isObject = (fault: S3Fault | undefined): fault is Extract<S3Fault, object> => typeof fault === "object";

async function read(request: IncomingMessage): Promise<Ask> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  const { method = "GET", headers, url = "/" } = request;
  const { pathname, search, searchParams } = new URL(url, "http://localhost");
  const key = pathname.split("/").slice(2).map(decodeURIComponent).join("/");
  return { method, url, key, target: key + search, query: searchParams, headers, body: Buffer.concat(chunks) };
}

function handle(ask: Ask, contents: S3Contents, knobs: S3Knobs): Answer {
  const { method, key, query } = ask;
  if (knobs.secret !== undefined && !isSignedBy(knobs.secret, ask)) return refusal(403, "SignatureDoesNotMatch");
  const isParts = query.has("uploads") || query.has("uploadId");
  if (isParts && !knobs.parts) return refusal(501, "NotImplemented");
  if (method === "GET" && key === "")
    return { status: 200, body: isParts ? uploadListing(contents, query) : listing(contents, query, knobs.keysMax) };
  if (isParts) return handleUpload(ask, contents, knobs);
  if (method === "PUT") return store(ask, contents, knobs, { bytes: bodyOf(ask, knobs), metadata: metadataOf(ask) });
  if (method === "DELETE") {
    contents.objects.delete(key);
    return { status: 204 };
  }
  const found = contents.objects.get(key);
  return found ? give(ask, found, knobs) : refusal(404, "NoSuchKey");
}

function handleUpload(ask: Ask, contents: S3Contents, knobs: S3Knobs): Answer {
  const { method, key, query } = ask;
  const { uploads } = contents;
  const at = Date.now() - knobs.agedMs;
  if (query.has("uploads")) {
    const id = beginUpload(contents, { key, metadata: metadataOf(ask), startedAt: at });
    return { status: 200, body: document("InitiateMultipartUploadResult", `<UploadId>${id}</UploadId>`) };
  }
  const id = query.get("uploadId") ?? "";
  const upload = uploads.get(id);
  if (!upload) return refusal(404, "NoSuchUpload");
  if (method === "GET") return { status: 200, body: partListing(contents, id) };
  if (method === "DELETE") {
    uploads.delete(id);
    return { status: 204 };
  }
  if (method === "PUT") {
    const bytes = bodyOf(ask, knobs);
    upload.parts.set(Number(query.get("partNumber")), { bytes, modifiedAt: at });
    return { status: 200, headers: { etag: etagOf(bytes) } };
  }
  const numbers = [...ask.body.toString().matchAll(/<PartNumber>(\d+)<\/PartNumber>/g)].map(([, number]) =>
    Number(number),
  );
  const parts = numbers.map((number) => upload.parts.get(number)?.bytes);
  if (parts.some((part) => part === undefined)) return refusal(400, "InvalidPart");
  const bytes = Buffer.concat(parts as Buffer[]);
  const stored = store(ask, contents, knobs, { bytes, metadata: upload.metadata });
  if (stored.status !== 200) return stored;
  uploads.delete(id);
  return { status: 200, body: document("CompleteMultipartUploadResult", `<ETag>${etagOf(bytes)}</ETag>`) };
}

function store(ask: Ask, { objects }: S3Contents, knobs: S3Knobs, object: Omit<S3Object, "modifiedAt">): Answer {
  const isConditional = ask.headers["if-none-match"] === "*";
  if (isConditional && knobs.conditions === "refused") return refusal(501, "NotImplemented");
  if (isConditional && knobs.conditions === "honoured" && objects.has(ask.key))
    return refusal(412, "PreconditionFailed");
  objects.set(ask.key, { ...object, modifiedAt: Date.now() - knobs.agedMs });
  return { status: 200, headers: { etag: etagOf(object.bytes) } };
}

function give(ask: Ask, { bytes, metadata, modifiedAt }: S3Object, knobs: S3Knobs): Answer {
  const headers: Record<string, string> = {
    etag: etagOf(bytes),
    "last-modified": new Date(modifiedAt).toUTCString(),
    "accept-ranges": "bytes",
  };
  for (const [name, value] of Object.entries(metadata)) headers[`x-amz-meta-${name}`] = value;
  const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(ask.headers.range ?? "") ?? [];
  if (from === undefined || !knobs.ranges) return { status: 200, headers, body: bytes };
  if (Number(from) >= bytes.length) return refusal(416, "InvalidRange");
  const end = to === undefined || to === "" ? bytes.length : Math.min(bytes.length, Number(to) + 1);
  headers["content-range"] = `bytes ${from}-${end - 1}/${bytes.length}`;
  return { status: 206, headers, body: bytes.subarray(Number(from), end) };
}

interface Sending {
  readonly fault: S3Fault | undefined;
  readonly isHead: boolean;
}

async function send(response: ServerResponse, answer: Answer, { fault, isHead }: Sending): Promise<void> {
  const body = Buffer.from(answer.body ?? "");
  response.writeHead(answer.status, { ...answer.headers, "content-length": body.length });
  if (isHead) return void response.end();
  if (fault === "corrupt" && body.length > 0) body[body.length >> 1]! ^= 1;
  if (isObject(fault) && "stallAfterBytes" in fault)
    return void response.write(body.subarray(0, fault.stallAfterBytes));
  if (!isObject(fault) || !("cutAfterBytes" in fault)) return void response.end(body);
  await new Promise((resolve) => response.write(body.subarray(0, fault.cutAfterBytes), resolve));
  response.socket?.destroySoon();
}

const bodyOf = ({ headers, body }: Ask, { framing }: S3Knobs): Buffer =>
  framing && String(headers["content-encoding"]).includes("aws-chunked") ? withoutFraming(body) : body;

const metadataOf = ({ headers }: Ask): Record<string, string> =>
  Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      name.startsWith("x-amz-meta-") ? [[name.slice("x-amz-meta-".length), String(value)]] : [],
    ),
  );
