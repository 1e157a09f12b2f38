import { request as httpRequest, type IncomingHttpHeaders } from "node:http";
import { request as httpsRequest } from "node:https";

export interface Asked {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** What came of the body, undecoded. */
  readonly body: Buffer;
  /** Error code of a body that broke; undefined = it ended as its framing says. */
  readonly broke: string | undefined;
}

export interface AskOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: string;
  /** Stops reading after so many bytes and hangs up. */
  readonly readBytesMax?: number;
  readonly localAddress?: string;
  readonly ca?: string | Buffer;
  readonly signal?: AbortSignal;
}

/** One plain HTTP request on a connection of its own: no redirects, no decoding. Rejects when there is no answer at all. */
export function ask(url: string, options: AskOptions = {}): Promise<Asked> {
  const { body, readBytesMax = Number.POSITIVE_INFINITY, headers = {}, ...rest } = options;
  const start = url.startsWith("https:") ? httpsRequest : httpRequest;
  const { promise, resolve, reject } = Promise.withResolvers<Asked>();
  let isAnswered = false;
  const request = start(url, { ...rest, headers: headers as Record<string, string>, agent: false }, (response) => {
    isAnswered = true;
    const chunks: Buffer[] = [];
    let received = 0;
    const finish = (broke?: string): void =>
      resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks), broke });
    response.on("data", (chunk: Buffer) => {
      chunks.push(chunk);
      received += chunk.length;
      if (received >= readBytesMax) request.destroy();
    });
    response.on("end", () => finish());
    response.on("error", (error: NodeJS.ErrnoException) => finish(error.code ?? error.message));
  });
  // Once there is an answer, its own error follows and says how it ended.
  request.on("error", (error) => (isAnswered ? undefined : reject(error)));
  request.end(body);
  return promise;
}
