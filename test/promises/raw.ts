import { connect, type Socket } from "node:net";

export interface RawHead {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
}

/** How an answer ended, as the client's kernel saw it: after its last byte, by FIN before it, by RST, or because the client left. */
export type RawEnd = "whole" | "fin" | "rst" | "left";

export interface RawAnswer extends RawHead {
  readonly end: RawEnd;
  /** Of the body. */
  readonly bytes: number;
  /** Bytes after the answer, such as those of a second one. */
  readonly surplus: number;
}

export interface RawOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent on the same connection at once, behind the request. */
  readonly behind?: string;
  /** Gets the body as it comes, in a buffer that is used again. False stops reading until `resume`. */
  readonly take?: (chunk: Buffer, offset: number) => boolean | void;
  /** At most so many at once. */
  readonly readBytes?: number;
}

export interface RawExchange {
  readonly head: Promise<RawHead>;
  /** Never rejects for how the connection ends; it does when there is no answer at all. */
  readonly answer: Promise<RawAnswer>;
  resume(): void;
  leave(): void;
}

const headEnd = "\r\n\r\n";

function parseHead(text: string): RawHead {
  const [first = "", ...lines] = text.split("\r\n");
  const pairs = lines.map((line) => [
    line.slice(0, line.indexOf(":")).toLowerCase(),
    line.slice(line.indexOf(":") + 1).trim(),
  ]);
  return { status: Number(first.split(" ")[1]), headers: Object.fromEntries(pairs) as Record<string, string> };
}

const bodyLength = (method: string, { status, headers }: RawHead): number =>
  method === "HEAD" || status === 304 ? 0 : Number(headers["content-length"] ?? Number.NaN);

/** One request over a bare socket that stays open behind a whole answer: what ends the answer is the server's doing alone. */
export function openRaw(url: string, options: RawOptions = {}): RawExchange {
  const { method = "GET", headers = {}, behind = "", take = () => true, readBytes = 256 * 1024 } = options;
  const { hostname, port, host, pathname, search } = new URL(url);
  const headed = Promise.withResolvers<RawHead>();
  const answered = Promise.withResolvers<RawAnswer>();
  // Whoever waits for the answer gets the same error.
  headed.promise.catch(() => {});
  let [gathered, bytes, surplus, length] = ["", 0, 0, 0];
  let head: RawHead | undefined;

  function settle(end: RawEnd): void {
    if (head === undefined) answered.reject(new Error(`no answer to ${method} ${url}: ${end}`));
    else answered.resolve({ ...head, end, bytes, surplus });
    headed.reject(new Error(`no answer to ${method} ${url}: ${end}`));
  }

  function takeBody(chunk: Buffer): boolean {
    const body = chunk.subarray(0, Math.max(0, length - bytes));
    surplus += chunk.length - body.length;
    const goesOn = body.length === 0 || take(body, bytes) !== false;
    bytes += body.length;
    if (bytes === length && behind === "") finish("whole");
    return goesOn;
  }

  function takeHead(chunk: Buffer): boolean {
    gathered += chunk.toString("latin1");
    const at = gathered.indexOf(headEnd);
    if (at < 0) return true;
    head = parseHead(gathered.slice(0, at));
    length = bodyLength(method, head);
    headed.resolve(head);
    return takeBody(Buffer.from(gathered.slice(at + headEnd.length), "latin1"));
  }

  const onread = {
    buffer: Buffer.allocUnsafeSlow(readBytes),
    callback: (count: number, buffer: Uint8Array): boolean => {
      const chunk = Buffer.from(buffer.buffer, buffer.byteOffset, count);
      return head === undefined ? takeHead(chunk) : takeBody(chunk);
    },
  };
  const socket: Socket = connect({ host: hostname, port: Number(port), onread, allowHalfOpen: true });
  const finish = (end: RawEnd): void => {
    settle(end);
    socket.destroy();
  };
  const all = { host, ...headers };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`${method} ${pathname}${search} HTTP/1.1\r\n${lines.join("")}\r\n${behind}`);
  socket.once("end", () => finish(bytes === length && head !== undefined ? "whole" : "fin"));
  socket.once("error", () => finish("rst"));
  return {
    head: headed.promise,
    answer: answered.promise,
    resume: () => void socket.resume(),
    leave: () => finish("left"),
  };
}

/** The same, its body kept. */
export async function askRaw(
  url: string,
  options: Omit<RawOptions, "take"> = {},
): Promise<RawAnswer & { readonly body: Buffer }> {
  const chunks: Buffer[] = [];
  const answer = await openRaw(url, { ...options, take: (chunk) => void chunks.push(Buffer.from(chunk)) }).answer;
  return { ...answer, body: Buffer.concat(chunks) };
}
