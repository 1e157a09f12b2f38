import { createHash } from "node:crypto";
import { once } from "node:events";
import { type IncomingHttpHeaders, type IncomingMessage, request as plainRequest } from "node:http";
import { request as tlsRequest } from "node:https";

export interface PullOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** The only authority that is trusted, as PEM. */
  readonly ca?: string;
  /** Which of this machine's loopback addresses asks. */
  readonly localAddress?: string;
  readonly body?: Uint8Array | AsyncIterable<Uint8Array>;
}

export interface Pulled {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly size: number;
  /** Of the bytes that came, whatever was asked for. */
  readonly digest: string;
  /** The beginning of the body, whole when it is at most 1 MiB. */
  readonly head: Buffer;
}

const headBytesMax = 1024 * 1024;

/** One request on a connection of its own, its answer open. */
export async function open(url: string, options: PullOptions = {}): Promise<IncomingMessage> {
  const { method = "GET", headers = {}, body, ca, localAddress } = options;
  const more = { ...(ca !== undefined && { ca }), ...(localAddress !== undefined && { localAddress }) };
  const make = url.startsWith("https:") ? tlsRequest : plainRequest;
  const outgoing = make(url, { method, headers, agent: false, ...more });
  const answered = once(outgoing, "response");
  if (body instanceof Uint8Array) outgoing.end(body);
  else if (body === undefined) outgoing.end();
  else await send(outgoing, body, answered);
  const [response] = (await answered) as [IncomingMessage];
  return response;
}

async function send(
  to: NodeJS.WritableStream,
  body: AsyncIterable<Uint8Array>,
  failed: Promise<unknown>,
): Promise<void> {
  for await (const chunk of body) if (!to.write(chunk)) await Promise.race([once(to, "drain"), failed]);
  to.end();
}

/** One request, its body hashed as it comes and not kept; a body that is cut rejects. */
export async function pull(url: string, options: PullOptions = {}): Promise<Pulled> {
  const response = await open(url, options);
  const hash = createHash("sha256");
  const kept: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    if (size < headBytesMax) kept.push(chunk.subarray(0, headBytesMax - size));
    size += chunk.length;
    hash.update(chunk);
  }
  const digest = `sha256:${hash.digest("hex")}`;
  return { status: response.statusCode ?? 0, headers: response.headers, size, digest, head: Buffer.concat(kept) };
}
