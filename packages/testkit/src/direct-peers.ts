import {
  type Cache,
  hasCode,
  type NodeId,
  type PeerBlobs,
  type PeerManifests,
  type PeerVerb,
  PullringError,
  type Segment,
  type BlobRequest,
  type BlobSink,
} from "@pullring/core";

import type { VirtualClock } from "./virtual-clock.ts";

/** How a node stands as seen by the others. */
export interface Health {
  /** It runs; false = its port refuses and what it sent breaks. */
  alive: boolean;
  /** It takes connections and says nothing any more, as a process that was stopped. */
  hangs: boolean;
  /** It flips a byte of each body that it sends. */
  lies: boolean;
  /** Rejects when it dies. */
  readonly died: Promise<never>;
}

export interface DirectPeersOptions {
  readonly self: NodeId;
  readonly clock: VirtualClock;
  readonly healthOf: (node: NodeId) => Health;
  readonly cacheOf: (node: NodeId) => Cache;
  readonly canReach: (from: NodeId, to: NodeId) => boolean;
  readonly onCall: (call: string) => void;
}

/** As the wire's own: to the first byte of an answer, and between two of a body. */
const answerMs = 2_000;
const idleMs = 10_000;
const pieceBytes = 64 * 1024;

/** The peers of one node without a wire between: calls go straight to the other's receiving end, and fail as the wire fails. */
export function directPeers(options: DirectPeersOptions): { blobs: PeerBlobs; manifests: PeerManifests } {
  const { self, clock, healthOf, cacheOf, canReach, onCall } = options;

  /** What the peer answers, unless it dies or says nothing for too long first. */
  async function answerOf<T>(node: NodeId, ask: () => Promise<T>): Promise<T> {
    const health = healthOf(node);
    if (!health.alive || !canReach(self, node)) throw unreachable(`${node} refuses`);
    if (health.hangs) {
      await clock.sleep(answerMs);
      throw unreachable(`${node} is silent`, "timeout");
    }
    return Promise.race([ask(), health.died]);
  }

  async function stream(node: NodeId, verb: PeerVerb, to: { request: BlobRequest; sink: BlobSink }): Promise<void> {
    const { request, sink } = to;
    const { repository, digest, offset, signal } = request;
    onCall(`${self} ${verb} ${node}`);
    const opening = (): ReturnType<Cache["peers"]["openBlob"]> =>
      cacheOf(node).peers.openBlob({ verb, repository, digest, from: self, offset });
    const stopped = aborted(signal);
    const { body, access, whole = false } = await Promise.race([answerOf(node, opening), stopped]);
    try {
      sink.head({ lane: { name: `peer:${node}`, access }, offset, size: body.size, resumable: true, whole });
      for (let at = offset; at < body.size;) {
        const next = body.next(at, Math.min(body.size, at + pieceBytes));
        const bytes = Buffer.from(await Promise.race([piece(node, next), stopped]));
        if (healthOf(node).lies) bytes[0] = (bytes[0] ?? 0) ^ 1;
        at += bytes.length;
        await sink.write(bytes);
      }
    } catch (error) {
      if (signal?.aborted || hasCode(error, "corrupt")) throw error;
      throw new PullringError("cut", `${node} broke off`, { cause: error });
    } finally {
      body.close();
    }
  }

  async function piece(node: NodeId, next: Segment | Promise<Segment>): Promise<Uint8Array> {
    const health = healthOf(node);
    const came = new AbortController();
    const silence = clock.sleep(idleMs, came.signal).then(() => {
      throw new PullringError("cut", `${node} is silent`, { reason: "timeout" });
    });
    silence.catch(() => {});
    try {
      const segment = await Promise.race([next, health.died, silence]);
      if (health.hangs) await silence;
      if (!("bytes" in segment)) throw new Error("this store has no files");
      return segment.bytes;
    } finally {
      came.abort();
    }
  }

  const manifest =
    (verb: PeerVerb): PeerManifests["get"] =>
    async (node, repository, digest) => {
      onCall(`${self} ${verb} ${node}`);
      const { bytes, mediaType, access } = await answerOf(node, () =>
        cacheOf(node).peers.manifest(verb, repository, digest),
      );
      const sent = Buffer.from(bytes);
      if (healthOf(node).lies) sent[0] = (sent[0] ?? 0) ^ 1;
      return { lane: { name: `peer:${node}`, access }, bytes: sent, mediaType };
    };

  return {
    blobs: {
      get: (node, request, sink) => stream(node, "get", { request, sink }),
      read: (node, request, sink) => stream(node, "read", { request, sink }),
      async holders(nodes, repository, digest) {
        const asked = nodes.map(async (node) => {
          if (healthOf(node).hangs) return [];
          const holding = await answerOf(node, () => cacheOf(node).peers.holding(repository, digest)).catch(() => {});
          return holding ? [{ node, ...holding }] : [];
        });
        return (await Promise.all(asked)).flat();
      },
    },
    manifests: {
      get: manifest("get"),
      read: manifest("read"),
      resolve(node, repository, tag, verb = "get") {
        onCall(`${self} ${verb === "get" ? "resolve" : "recall"} ${node}`);
        return answerOf(node, () => cacheOf(node).peers.resolve(repository, tag, verb));
      },
    },
  };
}

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
