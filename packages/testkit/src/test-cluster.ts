import { createHash } from "node:crypto";

import {
  type BlobSource,
  type Body,
  type Cache,
  type CacheEvent,
  makeCache,
  makePins,
  type NodeId,
  type Owners,
  PullringError,
} from "@pullring/core";

import { directPeers, type Health } from "./direct-peers.ts";
import { leaseTable, type LeaseTable } from "./lease-table.ts";
import { memoryBlobStore, type MemoryBlobStore, memoryRecords } from "./memory-store.ts";
import { type MemoryShared, memoryShared } from "./memory-shared.ts";
import { type ScriptedUpstream, scriptedUpstream } from "./scripted-upstream.ts";
import { type VirtualClock, virtualClock } from "./virtual-clock.ts";

export interface TestClusterOptions {
  readonly nodes?: number;
  readonly freshMs?: number;
  readonly refreshHot?: boolean;
  /** Nodes in the order of the ring, as one node sees it; all see the same unless told. */
  readonly ring?: (self: NodeId, key: string, nodes: readonly NodeId[]) => readonly NodeId[];
  readonly hasShared?: boolean;
}

export interface TestNode {
  readonly id: NodeId;
  readonly cache: Cache;
  readonly store: MemoryBlobStore;
  readonly records: ReturnType<typeof memoryRecords>;
  readonly events: CacheEvent[];
  readonly health: Health;
}

/** Several caches over one upstream that counts, with a clock that only the test moves. */
export interface TestCluster {
  readonly clock: VirtualClock;
  readonly upstream: ScriptedUpstream;
  readonly leases: LeaseTable;
  readonly shared: MemoryShared;
  readonly nodes: readonly TestNode[];
  /** What was asked between nodes, as `n1 get n2`. */
  readonly calls: string[];
  /** Pairs `n1>n2` that can't connect. */
  readonly severed: Set<string>;
  readonly node: (id: NodeId) => TestNode;
  /** In the order of the ring that everybody sees. */
  readonly ring: (key: string) => readonly TestNode[];
  readonly kill: (id: NodeId) => void;
  /** Moves the clock in steps until the promise has settled. */
  readonly until: <T>(promise: Promise<T>) => Promise<T>;
}

/** Ring order by rendezvous: distinct nodes, the same for everybody, evenly spread. */
function ringOrder(key: string, nodes: readonly NodeId[]): readonly NodeId[] {
  const rank = (node: NodeId): string => createHash("sha1").update(`${node} ${key}`).digest("hex");
  return [...nodes].sort((a, b) => (rank(a) < rank(b) ? -1 : 1));
}

export function testCluster(options: TestClusterOptions = {}): TestCluster {
  const clock = virtualClock();
  const upstream = scriptedUpstream((what) => new PullringError("missing", what));
  const ids = Array.from({ length: options.nodes ?? 3 }, (_, index) => `n${index + 1}`);
  const nodes = new Map<NodeId, TestNode>();
  const calls: string[] = [];
  const severed = new Set<string>();
  const deaths = new Map<NodeId, (error: Error) => void>();
  const node = (id: NodeId): TestNode => nodes.get(id) ?? missingNode(id);
  const shared = memoryShared();
  const leases = leaseTable(clock, (id) => node(id).health.alive);
  const ring = options.ring ?? ((_self, key, all) => ringOrder(key, all));

  for (const id of ids) {
    const { promise: died, reject } = Promise.withResolvers<never>();
    died.catch(() => {});
    deaths.set(id, reject);
    const health: Health = { alive: true, hangs: false, lies: false, died };
    const owners: Owners = {
      self: id,
      of: (key) => ring(id, key, ids),
      others: (key) => ring(id, key, ids).filter((other) => other !== id),
    };
    const peers = directPeers({
      self: id,
      clock,
      healthOf: (of) => node(of).health,
      cacheOf: (of) => node(of).cache,
      canReach: (from, to) => !severed.has(`${from}>${to}`),
      onCall: (call) => void calls.push(call),
    });
    const store = memoryBlobStore();
    const records = memoryRecords();
    const events: CacheEvent[] = [];
    const freshMs = (): number => options.freshMs ?? 60_000;
    const cache = makeCache({
      clock,
      store,
      records,
      manifests: upstream.manifests,
      blobs: mortal(upstream.blobs, health),
      lists: upstream.lists,
      policy: { freshMs, listFreshMs: freshMs },
      staleIfErrorMs: 86_400_000,
      refreshHot: options.refreshHot,
      pins: makePins([], store),
      observe: (event) => void events.push(event),
      cluster: { owners, ...peers, leases: leases.of(id) },
      ...(options.hasShared ? { shared: shared.of(store) } : {}),
    });
    nodes.set(id, { id, cache, store, records, events, health });
  }

  return {
    clock,
    upstream,
    leases,
    shared,
    nodes: [...nodes.values()],
    calls,
    severed,
    node,
    ring: (key) => ringOrder(key, ids).map(node),
    kill(id) {
      node(id).health.alive = false;
      deaths.get(id)?.(new PullringError("unreachable", `${id} has died`));
    },
    async until(promise) {
      let isSettled = false;
      const end = (): void => void (isSettled = true);
      promise.then(end, end);
      for (let step = 0; !isSettled && step < 20_000; step += 1) await clock.advance(10);
      if (!isSettled) throw new Error("this never ends");
      return promise;
    },
  };
}

const missingNode = (id: NodeId): never => {
  throw new Error(`no node ${id}`);
};

/** What a dead node asks upstream is not sent, and what was on its way is lost. */
function mortal(blobs: BlobSource, health: Health): BlobSource {
  const alive = (): void => {
    if (!health.alive) throw new PullringError("cut", "this node has died");
  };
  return {
    head: (...question) => blobs.head(...question),
    async get(request, sink) {
      alive();
      const write: typeof sink.write = (chunk) => {
        alive();
        return sink.write(chunk);
      };
      await Promise.race([blobs.get(request, { head: (head) => sink.head(head), write }), health.died]);
    },
  };
}

/** Reads a body to its end and closes it. */
export async function readBytes(body: Body): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  try {
    for (let offset = 0; offset < body.size;) {
      const segment = await body.next(offset, body.size);
      if (!("bytes" in segment)) throw new Error("this store has no files");
      parts.push(Buffer.from(segment.bytes));
      offset += segment.bytes.length;
    }
    return Buffer.concat(parts);
  } finally {
    body.close();
  }
}
