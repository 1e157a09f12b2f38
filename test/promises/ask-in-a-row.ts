import { connect } from "node:net";

export interface AskInARow {
  readonly host: string;
  readonly path: string;
  /** One request each, with this value of the header `X-Key`. */
  readonly keys: readonly string[];
}

const silenceMaxMs = 20_000;
const headEnd = "\r\n\r\n";

/** Takes whole answers from the front of what was received; returns what is left. */
function takeAnswers(received: string, bodies: string[]): string {
  let at = 0;
  for (;;) {
    const bodyAt = received.indexOf(headEnd, at) + headEnd.length;
    if (bodyAt < headEnd.length) return received.slice(at);
    const head = received.slice(at, bodyAt);
    const length = /^content-length: (\d+)\r$/im.exec(head)?.[1];
    if (!head.startsWith("HTTP/1.1 200 ") || length === undefined) throw new Error(`answer ${bodies.length}: ${head}`);
    at = bodyAt + Number(length);
    if (at > received.length) return received.slice(bodyAt - head.length);
    bodies.push(received.slice(bodyAt, at));
  }
}

/**
 * All requests on one connection, without waiting for answers (RFC 9112 §9.3.2): a hundred thousand take seconds so. Gives the bodies in
 * the order of the keys; each answer must be a 200 with a Content-Length.
 */
export function askInARow({ host, path, keys }: AskInARow): Promise<readonly string[]> {
  const { promise, resolve, reject } = Promise.withResolvers<readonly string[]>();
  const { hostname, port } = new URL(`http://${host}`);
  const socket = connect({ host: hostname, port: Number(port), noDelay: true });
  const bodies: string[] = [];
  let rest = "";
  socket.setEncoding("latin1").setTimeout(silenceMaxMs, () => socket.destroy(new Error(`${path} is silent`)));
  socket.on("data", (chunk: string) => {
    try {
      rest = takeAnswers(rest + chunk, bodies);
    } catch (error) {
      socket.destroy(error as Error);
    }
    if (bodies.length === keys.length) socket.destroy();
  });
  socket.on("error", reject);
  socket.on("close", () => {
    if (bodies.length === keys.length) resolve(bodies);
    else reject(new Error(`${path} answered ${bodies.length} of ${keys.length} requests`));
  });
  socket.write(keys.map((key) => `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nX-Key: ${key}\r\n\r\n`).join(""));
  return promise;
}
