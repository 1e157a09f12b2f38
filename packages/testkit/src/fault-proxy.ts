import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { Transform, type TransformCallback } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";

/** What happens to connections; a test may change it at any time. Bytes are those from the target to the client. */
export interface Toxics {
  /** Added to each chunk, in either direction. */
  latencyMs: number;
  /** Ends a connection, by FIN, when so many bytes of it have passed. */
  cutAfterBytes: number | undefined;
  /** Passes so many bytes of a connection and holds back the rest. */
  stallAfterBytes: number | undefined;
  /** New connections are reset at once. */
  refuse: boolean;
}

export interface FaultProxy {
  readonly port: number;
  readonly toxics: Toxics;
  /** Connections that are open now. */
  readonly connections: number;
  /** Resets every open connection. */
  reset(): void;
  close(): Promise<void>;
}

export interface FaultProxyOptions {
  readonly target: { readonly host?: string; readonly port: number };
  readonly host?: string;
  readonly toxics?: Partial<Toxics>;
}

/** One direction of a connection, as the toxics have it. */
function poisoned(toxics: Toxics, signal: AbortSignal, end?: () => void): Transform {
  let passed = 0;
  const isLimited = end !== undefined;

  async function pass(chunk: Buffer): Promise<Buffer> {
    if (toxics.latencyMs > 0) await sleep(toxics.latencyMs, undefined, { signal });
    if (!isLimited) return chunk;
    const { cutAfterBytes = Infinity, stallAfterBytes = Infinity } = toxics;
    const allowed = chunk.subarray(0, Math.max(0, Math.min(cutAfterBytes, stallAfterBytes) - passed));
    passed += chunk.length;
    if (passed >= cutAfterBytes) setImmediate(end);
    return allowed;
  }

  return new Transform({
    transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback) {
      pass(chunk).then(
        (bytes) => done(null, bytes.length === 0 ? undefined : bytes),
        (error: unknown) => done(error as Error),
      );
    },
  });
}

function resetSocket(socket: Socket): void {
  // libuv refuses to reset what is shutting down, and Node then never frees the handle.
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}

/** A TCP proxy on loopback that can be slow, cut, stall and reset. */
export async function startFaultProxy(options: FaultProxyOptions): Promise<FaultProxy> {
  const { target, host = "127.0.0.1" } = options;
  const toxics: Toxics = { latencyMs: 0, cutAfterBytes: undefined, stallAfterBytes: undefined, refuse: false };
  Object.assign(toxics, options.toxics);
  const open = new Set<Socket>();

  async function carry(client: Socket): Promise<void> {
    const upstream = connect({ host: target.host ?? "127.0.0.1", port: target.port, allowHalfOpen: true });
    const controller = new AbortController();
    const { signal } = controller;
    const leave = (): void => void (controller.abort(), open.delete(client), upstream.destroy(), client.destroy());
    open.add(client);
    client.once("close", leave);
    // Whichever side breaks ends both; what a test wants to know it sees at its own end.
    await Promise.allSettled([
      pipeline(client, poisoned(toxics, signal), upstream, { signal }),
      pipeline(
        upstream,
        poisoned(toxics, signal, () => client.destroySoon()),
        client,
        { signal },
      ),
    ]);
    leave();
  }

  const server = createServer({ allowHalfOpen: true }, (client) => {
    if (toxics.refuse) client.resetAndDestroy();
    else void carry(client);
  });
  const reset = (): void => open.forEach(resetSocket);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject).listen(0, host, resolve);
  await promise;
  return {
    port: (server.address() as AddressInfo).port,
    toxics,
    get connections() {
      return open.size;
    },
    reset,
    async close() {
      const closed = Promise.withResolvers<void>();
      server.close(() => closed.resolve());
      reset();
      await closed.promise;
    },
  };
}
