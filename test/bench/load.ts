// A load client that costs next to nothing, so that on a machine with few cores the servers are what is measured: one thread,
// poll(2), and recv(2) with MSG_TRUNC, by which Linux throws a body away without copying it (tcp(7)).
// Reads its task as JSON from its argument and prints what it measured as JSON.
import koffi from "koffi";

import { accept, type Load, type Measured } from "./run-load.ts";

const libc = koffi.load(null);
const calls = {
  socket: libc.func("int socket(int, int, int)") as (domain: number, type: number, protocol: number) => number,
  connect: libc.func("int connect(int, const void *, int)") as (fd: number, address: Buffer, size: number) => number,
  send: libc.func("intptr_t send(int, const void *, size_t, int)") as Transfer<Buffer>,
  recv: libc.func("intptr_t recv(int, void *, size_t, int)") as Transfer<Buffer | null>,
  poll: libc.func("int poll(void *, unsigned long, int)") as (fds: Buffer, count: number, timeoutMs: number) => number,
};
type Transfer<B> = (fd: number, buffer: B, size: number, flags: number) => number;

// Linux, x86-64 and arm64 alike.
const [afInet, sockStream, pollIn, msgDontWait, msgTrunc, msgNoSignal] = [2, 1, 1, 0x40, 0x20, 0x4000];
const pollFdBytes = 8;
const headBytesMax = 64 * 1024;
/** A server that sends nothing for so long has hung. */
const silenceMsMax = 120_000;

interface Connection {
  readonly fd: number;
  readonly request: Buffer;
  readonly size: number;
  head: string;
  askedAt: number;
  firstByteAt: number;
  /** Of the body; undefined while the head is not complete. */
  remaining: number | undefined;
  isDone: boolean;
}

interface Tally {
  bytes: number;
  readonly firstByteMs: number[];
  readonly lastByteMs: number[];
}

const head = Buffer.alloc(headBytesMax);

function dial({ port, targets }: Load, index: number): Connection {
  const target = targets[index % targets.length] ?? { path: "/", size: 0 };
  const fd = calls.socket(afInet, sockStream, 0);
  const address = Buffer.alloc(16);
  address.writeUInt16LE(afInet, 0);
  address.writeUInt16BE(port, 2);
  address.set([127, 0, 0, 1], 4);
  if (calls.connect(fd, address, address.length) !== 0) throw new Error(`nobody listens on port ${port}`);
  const request = Buffer.from(`GET ${target.path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAccept: ${accept}\r\n\r\n`);
  const times = { askedAt: 0, firstByteAt: 0 };
  return { fd, request, size: target.size, head: "", remaining: undefined, isDone: false, ...times };
}

function ask(connection: Connection): void {
  const { fd, request } = connection;
  connection.head = "";
  connection.remaining = undefined;
  connection.firstByteAt = 0;
  connection.askedAt = performance.now();
  if (calls.send(fd, request, request.length, msgNoSignal) !== request.length)
    throw new Error("a request did not leave");
}

/** What is left of the body once the head is complete; anything but a 200 of the right size ends the measurement. */
function readHead(connection: Connection, received: number): void {
  connection.head += head.toString("latin1", 0, received);
  const end = connection.head.indexOf("\r\n\r\n");
  if (end < 0) return;
  const text = connection.head.slice(0, end);
  const length = /^content-length: *(\d+)/im.exec(text)?.[1];
  if (!text.startsWith("HTTP/1.1 200 ") || Number(length) !== connection.size) {
    throw new Error(`want 200 and ${connection.size} bytes, not: ${connection.head.slice(0, 1000)}`);
  }
  connection.remaining = connection.size - (connection.head.length - end - 4);
}

/** Takes what has come; true when the body is complete. */
function take(connection: Connection, tally: Tally): boolean {
  const { fd, remaining } = connection;
  const received =
    remaining === undefined
      ? calls.recv(fd, head, headBytesMax, msgDontWait)
      : calls.recv(fd, null, remaining, msgDontWait | msgTrunc);
  if (received <= 0) throw new Error(`a connection ended ${remaining ?? "all its"} bytes early`);
  if (connection.firstByteAt === 0) connection.firstByteAt = performance.now();
  tally.bytes += received;
  if (remaining === undefined) readHead(connection, received);
  else connection.remaining = remaining - received;
  return connection.remaining === 0;
}

function finish(connection: Connection, tally: Tally): void {
  tally.firstByteMs.push(connection.firstByteAt - connection.askedAt);
  tally.lastByteMs.push(performance.now() - connection.askedAt);
}

function drive(load: Load, connections: readonly Connection[], tally: Tally): void {
  const fds = Buffer.alloc(pollFdBytes * connections.length);
  connections.forEach(({ fd }, index) => {
    fds.writeInt32LE(fd, index * pollFdBytes);
    fds.writeInt16LE(pollIn, index * pollFdBytes + 4);
  });
  const endsAt = performance.now() + (load.forMs ?? Number.POSITIVE_INFINITY);
  let running = connections.length;
  while (running > 0 && performance.now() < endsAt) {
    if (calls.poll(fds, connections.length, silenceMsMax) <= 0) throw new Error("nothing came for too long");
    for (const [index, connection] of connections.entries()) {
      if (fds.readInt16LE(index * pollFdBytes + 6) === 0 || connection.isDone || !take(connection, tally)) continue;
      finish(connection, tally);
      if (load.forMs !== undefined) ask(connection);
      else {
        // poll(2) passes over a negative descriptor.
        fds.writeInt32LE(-1, index * pollFdBytes);
        connection.isDone = true;
        running--;
      }
    }
  }
}

function measure(load: Load): Measured {
  const tally: Tally = { bytes: 0, firstByteMs: [], lastByteMs: [] };
  const connections = Array.from({ length: load.connections }, (_, index) => dial(load, index));
  const startedAt = performance.now();
  for (const connection of connections) ask(connection);
  drive(load, connections, tally);
  const ascending = (values: number[]): number[] => values.sort((a, b) => a - b);
  return {
    seconds: (performance.now() - startedAt) / 1000,
    bytes: tally.bytes,
    responses: tally.lastByteMs.length,
    firstByteMs: ascending(tally.firstByteMs),
    lastByteMs: ascending(tally.lastByteMs),
  };
}

process.stdout.write(JSON.stringify(measure(JSON.parse(process.argv[2] ?? "") as Load)));
