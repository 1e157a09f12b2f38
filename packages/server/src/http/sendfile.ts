import type { Socket } from "node:net";

import koffi from "koffi";

/** Bytes that one system call may move: what a worker thread is busy with, and how soon a closed socket is noticed. */
const callBytesMax = 4 * 1024 * 1024;

/**
 * Calls under way at once. More would wait for libuv's four threads before what else needs one (opening a file, reading a record), and koffi
 * refuses the 257th; beyond its eight resident stacks each call makes one of its own.
 */
const callsMax = 6;

/** A socket's own descriptor, held for one response: the number can't pass to another connection meanwhile. */
export interface SendfileSocket {
  /** Bytes moved; 0 when the socket takes none now, or when the kernel can't send this file this way. */
  send(fd: number, position: number, length: number): Promise<number>;
  close(): void;
}

export type Sendfile = (socket: Socket) => SendfileSocket | undefined;

/**
 * `sendfile(2)` on libuv's threads. Resolves the calls once; where the platform has none (anything but Linux, a missing prebuilt
 * binary) the answer is always undefined. So it is for sockets that are not plain TCP: TLS must encrypt.
 */
export function loadSendfile(): Sendfile {
  const calls = loadCalls();
  const turns = makeTurns(callsMax);
  return (socket) => {
    const fd = calls && descriptorOf(socket);
    return fd === undefined || !calls ? undefined : hold(calls, fd, turns);
  };
}

interface Calls {
  readonly dup: (fd: number) => number;
  readonly close: (fd: number) => number;
  readonly sendfile: { async(...args: unknown[]): void };
}

function loadCalls(): Calls | undefined {
  if (process.platform !== "linux") return undefined;
  try {
    const libc = koffi.load(null);
    return {
      dup: libc.func("int dup(int)"),
      close: libc.func("int close(int)"),
      sendfile: libc.func("intptr_t sendfile(int, int, _Inout_ int64_t *, size_t)"),
    };
  } catch {
    return undefined;
  }
}

/** Node tells a plain TCP socket's descriptor by its handle only; a TLS socket has another kind of handle, without one. */
function descriptorOf(socket: Socket): number | undefined {
  const { _handle: handle } = socket as unknown as { _handle?: { fd?: number; constructor: { name: string } } };
  return handle?.constructor.name === "TCP" && handle.fd !== undefined && handle.fd >= 0 ? handle.fd : undefined;
}

/**
 * The descriptor is doubled: when the connection is destroyed while a call waits for a thread, its number would be free
 * for the next connection, and another client would get these bytes.
 */
function hold(calls: Calls, fd: number, turns: Turns): SendfileSocket | undefined {
  const own = calls.dup(fd);
  if (own < 0) return undefined;
  return {
    async send(file, position, length) {
      await turns.enter();
      try {
        return await sendOnce(calls, { own, file, position, length });
      } finally {
        turns.leave();
      }
    },
    close: () => void calls.close(own),
  };
}

interface Call {
  readonly own: number;
  readonly file: number;
  readonly position: number;
  readonly length: number;
}

const sendOnce = (calls: Calls, { own, file, position, length }: Call): Promise<number> =>
  new Promise((resolve, reject) => {
    const count = Math.min(length, callBytesMax);
    calls.sendfile.async(own, file, [position], count, (error: Error | null, sent: number | bigint) => {
      if (error) reject(error);
      else resolve(Math.max(0, Number(sent)));
    });
  });

/** First come, first served. */
interface Turns {
  enter(): Promise<void> | void;
  leave(): void;
}

function makeTurns(places: number): Turns {
  const waiting: (() => void)[] = [];
  let taken = 0;
  return {
    enter() {
      if (taken === places) return new Promise((resolve) => waiting.push(resolve));
      taken += 1;
      return undefined;
    },
    leave() {
      const next = waiting.shift();
      if (next) next();
      else taken -= 1;
    },
  };
}
