import { AsyncLocalStorage } from "node:async_hooks";

import {
  type BlobRequest,
  type BlobSink,
  type Cache,
  type Holder,
  type NodeId,
  type PeerBlobs,
  type PeerManifests,
  type PeerVerb,
  PullringError,
} from "@pullring/core";

import type { SimProcess } from "./sim-process.ts";
import { name } from "./sim-upstream.ts";
import type { WaitGraph } from "./wait-graph.ts";
import type { World } from "./world.ts";

export interface Running {
  readonly process: SimProcess;
  readonly cache: Cache;
}

export interface SimPeersOptions {
  readonly world: World;
  readonly waits: WaitGraph;
  readonly at: (node: NodeId) => Running;
  /** Who has the lease of a digest. */
  readonly holder: (digest: string) => NodeId | undefined;
  /** What came of asking a node. */
  readonly report: (self: NodeId, node: NodeId, how: "ok" | "refused" | "timeout") => void;
}

export interface SimPeers {
  of(self: NodeId, process: SimProcess): { blobs: PeerBlobs; manifests: PeerManifests };
}

interface Receiver {
  readonly request: BlobRequest;
  readonly sink: BlobSink;
  readonly caller: SimProcess;
}

/** The wire's own bounds: to a head, of a body without a byte, until a silent peer counts as gone, and for who holds a digest. */
const headMs = { read: 2_000, get: 30_000 };
const idleMs = 12_000;
const quietMs = 2_000;
const holdersMs = 100;
const pieceBytes = 4_096;

/** Calls from one node's process to another's, with time between, which fail as the wire fails. */
export function makeSimPeers({ world, waits, at, holder, report }: SimPeersOptions): SimPeers {
  const { clock, severed, liars, note, reached } = world;
  /** What the code that runs now was called for: the verbs of peers, the first call first. */
  const chain = new AsyncLocalStorage<readonly PeerVerb[]>();

  function enter(self: NodeId, verb: PeerVerb, node: NodeId): readonly PeerVerb[] {
    const above = chain.getStore() ?? [];
    const isLeaf = above.at(-1) === "read";
    if (isLeaf || (above.length > 0 && verb !== "read"))
      world.broken(`I4: ${self} asks ${node} to ${verb} on behalf of a peer's ${above.join(", then ")}`);
    return [...above, verb].slice(-3);
  }

  /** Rejects when the node is found silent, or when its time is over. */
  async function patience(process: SimProcess, withinMs: number, signal: AbortSignal): Promise<never> {
    for (let leftMs = withinMs; leftMs > 0; leftMs -= quietMs) {
      await clock.sleep(Math.min(quietMs, leftMs), signal);
      if (process.isHung) break;
    }
    throw unreachable("it is silent", "timeout");
  }

  async function bounded<T>(process: SimProcess, withinMs: number, work: Promise<T>): Promise<T> {
    const done = new AbortController();
    const silence = patience(process, withinMs, done.signal);
    silence.catch(() => {});
    const died = process.died.catch(() => {
      throw unreachable("it hung up");
    });
    died.catch(() => {});
    try {
      return await Promise.race([work, died, silence]);
    } finally {
      done.abort(over);
    }
  }

  async function call<T>(self: NodeId, verb: PeerVerb, node: NodeId, ask: (cache: Cache) => Promise<T>): Promise<T> {
    const verbs = enter(self, verb, node);
    await world.hop();
    const { process, cache } = at(node);
    if (!process.isAlive || severed.has(`${self}>${node}`)) {
      report(self, node, "refused");
      throw unreachable("it refuses");
    }
    const answer = chain.run(verbs, () => process.run(() => ask(cache)));
    try {
      const value = await bounded(process, headMs[verb], answer);
      await world.hop();
      return value;
    } catch (error) {
      if (error instanceof PullringError && error.code === "unreachable")
        report(self, node, error.reason === "timeout" ? "timeout" : "refused");
      throw error;
    } finally {
      if (process.isAlive && !process.isHung) report(self, node, "ok");
    }
  }

  async function stream(self: NodeId, verb: PeerVerb, node: NodeId, to: Receiver) {
    const { request, sink, caller } = to;
    const { repository, digest, offset, signal } = request;
    let isOver = false;
    const opening = call(self, verb, node, async ({ peers }) => {
      const { process } = at(node);
      const opened = await peers.openBlob({ verb, repository, digest, from: self, offset });
      // Nobody waits for this answer any more.
      if (isOver) opened.body.close();
      return { ...opened, process };
    });
    const stopped = Promise.race([aborted(signal), caller.died]);
    stopped.catch(() => {});
    const wait = waits.begin(self, node, digest);
    try {
      const { body, access, process } = await Promise.race([opening, stopped]);
      try {
        sink.head({ lane: { name: `peer:${node}`, access }, offset, size: body.size, resumable: true });
        if (verb === "read")
          reached(holder(digest) === node ? "read from the holder of a lease" : "copied from another holder");
        for (let from = offset; from < body.size;) {
          const next = process.run(() => body.next(from, Math.min(body.size, from + pieceBytes)));
          const segment = await Promise.race([bounded(process, idleMs, next), stopped]);
          await Promise.race([world.hop(), stopped]);
          if (severed.has(`${self}>${node}`)) throw unreachable("the line broke");
          if (!("bytes" in segment)) throw new Error("this store has no files");
          const bytes = Buffer.from(segment.bytes);
          if (liars.has(node)) bytes[0] = (bytes[0] ?? 0) ^ 1;
          from += bytes.length;
          wait.moved();
          await Promise.race([sink.write(bytes), stopped]);
        }
      } catch (error) {
        if (signal?.aborted || (error instanceof PullringError && error.code === "corrupt")) throw error;
        const reason = error instanceof PullringError ? error.reason : "down";
        throw new PullringError("cut", `${node} broke off`, { cause: error, reason });
      } finally {
        body.close();
      }
    } catch (error) {
      if (verb === "get" && signal?.aborted && String(signal.reason).includes("takes this node for the owner"))
        reached("forward claimed as owner");
      opening.then(
        ({ body }) => body.close(),
        () => {},
      );
      throw error;
    } finally {
      isOver = true;
      wait.end();
    }
  }

  function manifest(self: NodeId, verb: PeerVerb): PeerManifests["get"] {
    return async (node, repository, digest) => {
      note(`${self} asks ${node} to ${verb} manifest ${name(digest)}`);
      const answer = await call(self, verb, node, ({ peers }) => peers.manifest(verb, repository, digest));
      const bytes = Buffer.from(answer.bytes);
      if (liars.has(node)) bytes[0] = 0;
      return { lane: { name: `peer:${node}`, access: answer.access }, bytes, mediaType: answer.mediaType };
    };
  }

  async function holders(self: NodeId, nodes: readonly NodeId[], of: Parameters<PeerBlobs["holders"]>) {
    const [, repository, digest] = of;
    const found: Holder[] = [];
    const asked = nodes.map(async (node) => {
      const holding = await call(self, "read", node, ({ peers }) => peers.holding(repository, digest)).catch(() => {});
      if (holding) found.push({ node, ...holding });
    });
    const done = new AbortController();
    const late = clock.sleep(holdersMs, done.signal).catch(() => {});
    await Promise.race([Promise.all(asked), late]);
    done.abort(over);
    return [...found];
  }

  return {
    of: (self, process) => {
      const streamed =
        (verb: PeerVerb): PeerBlobs["get"] =>
        (node, request, sink) =>
          process.run(async () => {
            note(`${self} asks ${node} to ${verb} ${name(request.digest)} from ${request.offset}`);
            const own: BlobSink = {
              head: (head) => sink.head(head),
              async write(chunk) {
                await process.running();
                await sink.write(chunk);
              },
            };
            await stream(self, verb, node, { request, sink: own, caller: process }).catch((error: unknown) => {
              note(`${self} had ${verb} of ${name(request.digest)} at ${node} end: ${String(error)}`);
              throw error;
            });
          });
      return {
        blobs: {
          get: streamed("get"),
          read: streamed("read"),
          holders: (...of) => process.run(() => holders(self, of[0], of)),
        },
        manifests: {
          get: (...of) => process.run(() => manifest(self, "get")(...of)),
          read: (...of) => process.run(() => manifest(self, "read")(...of)),
          resolve: (node, repository, tag, verb = "get") =>
            process.run(() => call(self, verb, node, ({ peers }) => peers.resolve(repository, tag, verb))),
        },
      };
    },
  };
}

/** A reason of its own: to make one each time costs more than all else here. */
const over = new Error("over");

const unreachable = (why: string, reason: "down" | "timeout" = "down"): PullringError =>
  new PullringError("unreachable", why, { reason });

/** Rejects when the signal aborts. */
function aborted(signal: AbortSignal | undefined): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  promise.catch(() => {});
  signal?.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
  if (signal?.aborted) reject(signal.reason as Error);
  return promise;
}
