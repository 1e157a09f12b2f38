import { request as requestPlain, type IncomingHttpHeaders } from "node:http";
import { request as requestTls } from "node:https";

import { diagnoseLimits as limits } from "./limits.ts";

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface AskOptions {
  readonly method?: "GET" | "HEAD";
  readonly headers?: Readonly<Record<string, string>>;
  /** PEM; default what the system trusts. */
  readonly ca?: string | readonly string[] | undefined;
  /** For a listener of this machine, which is only asked who it is. */
  readonly anyCertificate?: boolean;
  readonly timeoutMs?: number;
}

/** One plain exchange on a connection of its own. No redirect is followed: credentials stay where they were sent. */
export function ask(url: URL, options: AskOptions = {}): Promise<Answer> {
  const { method = "GET", headers = {}, ca, anyCertificate = false, timeoutMs = limits.askMs } = options;
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const signal = AbortSignal.timeout(timeoutMs);
  const common = { method, headers: { ...headers, connection: "close" }, agent: false, signal };
  const trust = { ...(ca === undefined ? {} : { ca: [ca].flat() }), rejectUnauthorized: !anyCertificate };
  const request = url.protocol === "https:" ? requestTls(url, { ...common, ...trust }) : requestPlain(url, common);
  const failed = (error: Error): void =>
    reject(signal.aborted ? new Error(`no answer in ${timeoutMs / 1000} s`) : error);
  request.once("error", failed);
  request.once("response", (response) => {
    const chunks: Buffer[] = [];
    let size = 0;
    response.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size > limits.answerBytesMax) request.destroy(new Error("the answer is too long"));
      else chunks.push(chunk);
    });
    response.once("error", failed);
    response.once("end", () => {
      resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks).toString() });
    });
  });
  request.end();
  return promise;
}
