import { read as readFile } from "node:fs";
import type { ServerResponse } from "node:http";

import type { Body, Segment } from "@pullring/core";
import type { Span } from "@pullring/oci";

import type { Sendfile, SendfileSocket } from "./sendfile.ts";

/** Pooled read buffers: what streams share while they move fast. Beyond the pool each stream has one small buffer of its own. */
const pooledBytes = 1024 * 1024;
const pooledMax = 64;
const smallBytes = 64 * 1024;

/** Moves the bytes of a body to a response. The one way in which bytes leave this process. */
export interface ByteMover {
  /**
   * Sends `span` of the body; headers must have been written (not necessarily flushed). Resolves to the bytes sent: fewer than
   * the span when the client has left. Rejects with the body's error when the bytes do not come; the response must be cut then.
   */
  move(response: ServerResponse, body: Body, span: Span): Promise<number>;
}

export function makeByteMover(sendfile: Sendfile): ByteMover {
  const pool = makePool();
  const smalls = makeSmallPool();

  async function copySmall(response: ServerResponse, file: FileRange): Promise<number> {
    const buffer = smalls.take();
    try {
      return await copy(response, file, buffer);
    } finally {
      smalls.release(buffer);
    }
  }

  /**
   * With sendfile: where the kernel takes no more, a small copy goes through Node, whose callback tells that there is room again.
   * Nothing may wait in Node's own queue before a call, or bytes would overtake the head.
   */
  async function moveBySendfile(response: ServerResponse, file: FileRange, out: SendfileSocket): Promise<number> {
    let sent = isFlushed(response) ? 0 : await copySmall(response, file);
    while (sent < file.length && !response.destroyed) {
      const rest = advance(file, sent);
      sent += (await out.send(rest.fd, rest.position, rest.length)) || (await copySmall(response, rest));
    }
    return sent;
  }

  async function moveByCopies(response: ServerResponse, file: FileRange): Promise<number> {
    const buffer = pool.take(file.length);
    let sent = 0;
    try {
      while (sent < file.length && !response.destroyed) sent += await copy(response, advance(file, sent), buffer);
    } finally {
      pool.release(buffer);
    }
    return sent;
  }

  async function moveSegment(response: ServerResponse, segment: Segment, out: Lazy<SendfileSocket>): Promise<number> {
    if ("bytes" in segment) {
      await write(response, segment.bytes);
      return segment.bytes.length;
    }
    const socket = segment.length > smallBytes ? out.get() : undefined;
    return socket ? moveBySendfile(response, segment, socket) : moveByCopies(response, segment);
  }

  return {
    async move(response, body, { start, end }) {
      const out = lazily(() => response.socket && sendfile(response.socket));
      let offset = start;
      try {
        while (offset < end && !response.destroyed) {
          const next = body.next(offset, end);
          // Nothing to send yet: the client gets its headers now, not with the first byte.
          if (next instanceof Promise) response.flushHeaders();
          offset += await moveSegment(response, await next, out);
        }
      } catch (error) {
        if (!(error instanceof ClientLeft)) throw error;
      } finally {
        out.made()?.close();
      }
      return offset - start;
    },
  };
}

/** Through Node: a copy, but its callback tells that everything before has reached the kernel. */
async function copy(response: ServerResponse, file: FileRange, buffer: Buffer): Promise<number> {
  const length = await read(file, buffer);
  await write(response, buffer.subarray(0, length));
  return length;
}

/** Sends the head if it was not sent; true when the kernel has taken all that was written so far. */
function isFlushed(response: ServerResponse): boolean {
  response.flushHeaders();
  return response.socket?.writableLength === 0 && response.writableLength === 0;
}

interface Lazy<T> {
  get(): T | undefined;
  /** What `get` has made, if it was called. */
  made(): T | undefined;
}

/** A descriptor is doubled only for a response that comes from a file. */
function lazily<T>(make: () => T | null | undefined): Lazy<T> {
  let made: { value: T | undefined } | undefined;
  return {
    get: () => (made ??= { value: make() ?? undefined }).value,
    made: () => made?.value,
  };
}

type FileRange = Extract<Segment, { fd: number }>;

const advance = ({ fd, position, length }: FileRange, by: number): FileRange => ({
  fd,
  position: position + by,
  length: length - by,
});

class ClientLeft extends Error {}

/** Resolves when the kernel has taken the chunk, so that at most one chunk a stream waits in this process. */
function write(response: ServerResponse, chunk: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    if (response.destroyed) return reject(new ClientLeft("the client has left"));
    const onClose = (): void => reject(new ClientLeft("the client has left"));
    response.once("close", onClose);
    return response.write(chunk, (error) => {
      response.off("close", onClose);
      if (error) reject(new ClientLeft("the client has left", { cause: error }));
      else resolve();
    });
  });
}

/** At least one byte: the caller has opened the file and knows that it is long enough. */
function read({ fd, position, length }: FileRange, buffer: Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    readFile(fd, buffer, 0, Math.min(length, buffer.length), position, (error, count) => {
      if (error) reject(error);
      else if (count === 0) reject(new Error("the file is shorter than it was"));
      else resolve(count);
    });
  });
}

/** A stalled client keeps its buffer, so the pool gives none away that others would wait for: it lends, or makes a small one. */
function makePool(): { take(length: number): Buffer; release(buffer: Buffer): void } {
  const free: Buffer[] = [];
  let lent = 0;
  return {
    take(length) {
      if (length <= smallBytes || lent >= pooledMax) return Buffer.allocUnsafeSlow(Math.min(length, smallBytes));
      lent += 1;
      return free.pop() ?? Buffer.allocUnsafeSlow(pooledBytes);
    },
    release(buffer) {
      if (buffer.length !== pooledBytes) return;
      lent -= 1;
      free.push(buffer);
    },
  };
}

/** Buffers for what goes through Node between two calls of sendfile: made anew for each, they kept the garbage collector busy. */
function makeSmallPool(): { take(): Buffer; release(buffer: Buffer): void } {
  const free: Buffer[] = [];
  return {
    take: () => free.pop() ?? Buffer.allocUnsafeSlow(smallBytes),
    release: (buffer) => void (free.length < pooledMax && free.push(buffer)),
  };
}
