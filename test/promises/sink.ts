import { once } from "node:events";
import type { IncomingHttpHeaders } from "node:http";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

export interface Sink extends AsyncDisposable {
  readonly url: string;
  /** Connections, whether or not they asked anything. */
  readonly connections: number;
  readonly requests: readonly { readonly url: string; readonly headers: IncomingHttpHeaders }[];
}

/** A host that nobody has configured, on a loopback address of its own. It answers everything by as many bytes as it is told. */
export async function startSink(host: string, answer: Uint8Array): Promise<Sink> {
  const requests: { url: string; headers: IncomingHttpHeaders }[] = [];
  let connections = 0;
  const server = createServer(({ url = "", headers }, response) => {
    requests.push({ url, headers });
    response.end(answer);
  });
  server.on("connection", () => connections++);
  await once(server.listen(0, host), "listening");
  return {
    url: `http://${host}:${(server.address() as AddressInfo).port}`,
    get connections() {
      return connections;
    },
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
