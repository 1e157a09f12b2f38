import type { BlobStore, Clock, Cluster, NodeId, RecordKey } from "@pullring/core";
import { isDigest } from "@pullring/oci";

import type { Log } from "./observe/log.ts";

/** Copies on their way at once. */
const copiesMax = 4;

export interface HandOverOptions {
  /** Which digests there are, and under which repository each may be asked for. */
  readonly links: () => AsyncIterable<{ readonly key: RecordKey; readonly value: unknown }>;
  readonly store: Pick<BlobStore, "stat">;
  readonly cluster: Cluster;
  readonly clock: Pick<Clock, "monotonic">;
  readonly log: Pick<Log, "info" | "warn">;
  readonly signal: AbortSignal;
}

interface Held {
  readonly key: RecordKey;
  readonly isManifest: boolean;
  readonly size: number;
}

/**
 * Before a node without shared storage goes for good: whoever owns now what it holds is asked for it, as a client would ask, and so copies
 * it from here if no other node has it. Never rejects; ends early when the signal says so.
 */
export async function handOver(options: HandOverOptions): Promise<void> {
  const { clock, log, signal } = options;
  const startedMs = clock.monotonic();
  const counts = { asked: 0, failed: 0 };
  const held = heldBlobs(options);
  const worker = async (): Promise<void> => {
    for (let next = await held.next(); !next.done && !signal.aborted; next = await held.next()) {
      counts.asked += 1;
      await copy(options, next.value).catch(() => (counts.failed += 1));
    }
  };
  await Promise.all(Array.from({ length: copiesMax }, worker));
  const told = { ...counts, ms: Math.round(clock.monotonic() - startedMs), complete: !signal.aborted };
  if (counts.failed > 0 || signal.aborted) log.warn(told, "some of what this node holds could not be handed over");
  else log.info(told, "what this node holds is with those who own it now");
}

/** Each digest once. */
async function* heldBlobs({ links, store, signal }: HandOverOptions): AsyncGenerator<Held> {
  const seen = new Set<string>();
  for await (const { key, value } of links()) {
    if (signal.aborted) return;
    const stat = isDigest(key.name) && !seen.has(key.name) ? store.stat(key.name) : undefined;
    if (!stat) continue;
    seen.add(key.name);
    yield { key, size: stat.size, isManifest: (value as { kind?: unknown } | undefined)?.kind === "manifest" };
  }
}

/** The last byte is enough: it comes when the owner has all of them, and has verified them. */
async function copy({ cluster, signal }: HandOverOptions, { key, isManifest, size }: Held): Promise<void> {
  const { owners } = cluster;
  const digest = key.name;
  const owner: NodeId | undefined = owners.of(digest).find((id) => id !== owners.self);
  if (owner === undefined || !isDigest(digest)) return;
  const { repository } = key;
  if (isManifest) await cluster.manifests.get(owner, repository, digest);
  else {
    const request = { repository, digest, offset: Math.max(0, size - 1), signal };
    await cluster.blobs.get(owner, request, { head: () => {}, write: () => {} });
  }
}
