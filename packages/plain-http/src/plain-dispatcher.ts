import { request as sendRequest, type ClientRequest, type IncomingMessage } from "node:http";

import { errors, type buildConnector, type Dispatcher } from "undici";

import { makeTap, type Tap } from "./tap.ts";

/** Shorter bodies go through the parser and keep their connection; longer ones cost it and are worth it. */
const divertedBytesMin = 1024 * 1024;

export interface PlainDispatcherOptions {
  /** Makes the connector for sockets that read as `onread` says. */
  readonly connect: (onread: Tap["onread"]) => buildConnector.connector;
  /** To one origin; more requests wait their turn. */
  readonly connections: number;
  readonly headBytesMax: number;
}

/**
 * Sends requests over plain HTTP as undici's `dispatch` does, to the same handlers, for bodies that are large: behind the head they bypass
 * parser and streams. A chunk is the handler's only until `onResponseData` returns. Each request has a connection of its own.
 */
export interface PlainDispatcher {
  dispatch(order: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean;
  /** Ends every request that runs or waits. */
  destroy(): Promise<void>;
}

export function makePlainDispatcher(options: PlainDispatcherOptions): PlainDispatcher {
  const tap = makeTap();
  const connect = options.connect(tap.onread);
  const turns = makeTurns(options.connections);
  const running = new Set<ClientRequest>();
  let isDestroyed = false;

  function begin(order: Dispatcher.DispatchOptions): ClientRequest {
    const { host, hostname, port } = new URL(String(order.origin));
    const target = { hostname: hostname.replace(/^\[(.*)\]$/, "$1"), host, port, protocol: "http:" };
    return sendRequest({
      createConnection(_, onSocket) {
        connect(target, (error, socket) => (error ? onSocket(error, null as never) : onSocket(null, socket)));
        return undefined;
      },
      path: order.path,
      method: order.method,
      headers: { host, ...(order.headers as Record<string, string>) },
      maxHeaderSize: options.headBytesMax,
    });
  }

  function send(order: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler, done: () => void): void {
    let request: ClientRequest;
    try {
      request = begin(order);
    } catch (error) {
      // What can't be a request, such as a token with a line break, fails alone; its turn may come in another one's event.
      handler.onResponseError?.(refused, error as Error);
      return done();
    }
    attend(request, handler, tap);
    running.add(request);
    request.once("close", () => {
      running.delete(request);
      done();
    });
    request.end();
    if (isDestroyed) request.destroy(closed());
  }

  return {
    dispatch(order, handler) {
      turns.enter(String(order.origin), (done) => send(order, handler, done));
      return true;
    },
    async destroy() {
      isDestroyed = true;
      for (const request of running) request.destroy(closed());
    },
  };
}

/** Of a request that there never was. */
const refused: Dispatcher.DispatchController = {
  aborted: true,
  paused: false,
  reason: null,
  abort() {},
  pause() {},
  resume() {},
};

const closed = (): Error => new Error("the connections to this origin were closed");

interface Turns {
  /** Runs `start` when a place is free, which it is again when `done` was called. */
  enter(key: string, start: (done: () => void) => void): void;
}

function makeTurns(places: number): Turns {
  const lines = new Map<string, { taken: number; waiting: ((done: () => void) => void)[] }>();

  function next(key: string): void {
    const line = lines.get(key);
    if (!line || line.taken >= places) return;
    const start = line.waiting.shift();
    if (start) {
      line.taken += 1;
      start(() => {
        line.taken -= 1;
        next(key);
      });
    } else if (line.taken === 0) {
      lines.delete(key);
    }
  }

  return {
    enter(key, start) {
      const line = lines.get(key) ?? { taken: 0, waiting: [] };
      lines.set(key, line);
      line.waiting.push(start);
      next(key);
    },
  };
}

/** The request's own events keep what attends it. */
const attend = (...facts: ConstructorParameters<typeof Exchange>): Exchange => new Exchange(...facts);

/** One request on its way: tells its handler, as undici would. */
class Exchange implements Dispatcher.DispatchController {
  readonly #request: ClientRequest;
  readonly #handler: Dispatcher.DispatchHandler;
  readonly #tap: Tap;
  #message: IncomingMessage | undefined;
  #left = Infinity;
  #isOver = false;
  paused = false;
  reason: Error | null = null;

  constructor(request: ClientRequest, handler: Dispatcher.DispatchHandler, tap: Tap) {
    this.#request = request;
    this.#handler = handler;
    this.#tap = tap;
    request.once("socket", () => handler.onRequestStart?.(this, {}));
    // What comes behind a whole answer is nobody's, and its error is not the answer's.
    request.on("error", (error) => (this.#message?.complete ? undefined : this.#fail(error)));
    request.once("response", (message) => this.#begin(message));
  }

  get aborted(): boolean {
    return this.#request.destroyed;
  }

  abort(reason: Error): void {
    this.reason = reason;
    this.#request.destroy(reason);
    this.#fail(reason);
  }

  pause(): void {
    this.paused = true;
    this.#message?.pause();
    this.#request.socket?.pause();
  }

  resume(): void {
    this.paused = false;
    this.#message?.resume();
    this.#request.socket?.resume();
  }

  #begin(message: IncomingMessage): void {
    const { socket } = this.#request;
    const length = bodyBytes(this.#request, message);
    this.#message = message;
    message.on("error", (error) => this.#fail(error));
    message.once("end", () => (message.complete ? this.#finish() : this.#fail(endedEarly())));
    message.on("data", (chunk: Buffer) => this.#take(chunk));
    if (length !== undefined && socket) {
      this.#left = length;
      socket.once("close", () => this.#fail(endedEarly()));
      this.#tap.divert(socket, (bytes) => this.#divert(message, bytes));
    }
    this.#handler.onResponseStart?.(this, message.statusCode ?? 0, message.headers, message.statusMessage);
  }

  /** A stream that is held back may still ask its socket for more: what then comes waits there, as a copy, behind what came with the head. */
  #divert(message: IncomingMessage, bytes: Uint8Array): boolean {
    if (this.paused || message.readableLength > 0) {
      message.push(Buffer.from(bytes));
      return false;
    }
    this.#take(bytes);
    return !this.paused && !this.#isOver;
  }

  #take(bytes: Uint8Array): void {
    if (this.#isOver) return;
    const wanted = bytes.length > this.#left ? bytes.subarray(0, this.#left) : bytes;
    this.#left -= wanted.length;
    this.#handler.onResponseData?.(this, wanted as Buffer);
    if (this.#left > 0) return;
    this.#finish();
    // The parser still waits for this body, so the connection serves nothing more.
    this.#request.destroy();
  }

  #finish(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#handler.onResponseEnd?.(this, {});
  }

  #fail(error: Error): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#handler.onResponseError?.(this, asUndiciError(error));
  }
}

/** How many bytes follow the head, where they are worth a diversion and nothing else can follow. */
function bodyBytes(request: ClientRequest, { statusCode = 0, headers }: IncomingMessage): number | undefined {
  const length = Number(headers["content-length"]);
  const isBody = request.method === "GET" && (statusCode === 200 || statusCode === 206);
  return isBody && headers["transfer-encoding"] === undefined && length >= divertedBytesMin ? length : undefined;
}

const endedEarly = (): Error => Object.assign(new Error("the connection ended early"), { code: "ECONNRESET" });

/** What can't be read as HTTP has errors of its own in undici, by which callers know it. */
function asUndiciError(error: Error & { code?: string; rawPacket?: Buffer }): Error {
  if (error.code === "HPE_HEADER_OVERFLOW") return new errors.HeadersOverflowError(error.message);
  if (!error.code?.startsWith("HPE_")) return error;
  return Object.assign(new errors.HTTPParserError(error.message), { code: error.code, data: String(error.rawPacket) });
}
