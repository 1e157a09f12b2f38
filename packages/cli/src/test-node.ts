import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text as textOf } from "node:stream/consumers";
import type { TestContext } from "node:test";

import { run } from "./run.ts";

interface Seen {
  readonly method: string;
  readonly url: string;
  readonly authorization: string | undefined;
  readonly body: string;
}

export interface Scripted {
  readonly status?: number;
  readonly body: unknown;
  readonly type?: string;
}

/** A node's admin listener that answers everything alike. For tests of the command line. */
export async function startNode(t: TestContext, { status = 200, body, type = "application/json" }: Scripted) {
  const seen: Seen[] = [];
  const server = createServer((request, response) => {
    void textOf(request).then((sent) => {
      const { method = "", url = "", headers } = request;
      seen.push({ method, url, authorization: headers.authorization, body: sent });
      response.writeHead(status, { "content-type": type, connection: "close" });
      response.end(typeof body === "string" ? body : JSON.stringify(body));
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
}

export async function pullring(...args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ["", ""];
  const code = await run(args, { out: (text) => void (out += text), err: (text) => void (err += text) });
  return { code, out, err };
}
