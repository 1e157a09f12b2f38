import {
  type BlobRequest,
  type BlobSink,
  type BlobSource,
  type Lane,
  type ListSource,
  type ManifestSource,
  type NodeId,
  PullringError,
  type Repository,
} from "@pullring/core";
import type { Digest, Reference } from "@pullring/oci";

import { type Content, isOpen, type Item, manifestType } from "./content.ts";
import type { SimProcess } from "./sim-process.ts";
import type { World } from "./world.ts";

/** One counted GET. */
export interface Get {
  readonly node: NodeId;
  readonly digest: Digest;
  readonly offset: number;
  readonly beganAtMs: number;
  /** Somebody had it whole whom the node did not know of: it had just come, and word of it had not. */
  readonly isUnseen: boolean;
  /** `refused`: no answer, or none with bytes. `broken`: upstream's own fault. `left`: whoever asked did not wait for its end. */
  end: "running" | "whole" | "refused" | "broken" | "left";
}

export interface SimUpstream {
  readonly gets: Get[];
  /** What is wrong with it now, by kind: how many faults say so. */
  readonly faults: Map<UpstreamFault, number>;
  of(node: NodeId, process: SimProcess): { manifests: ManifestSource; blobs: BlobSource; lists: ListSource };
}

export type UpstreamFault =
  | "upstream_down"
  | "upstream_throttles"
  | "upstream_cuts"
  | "upstream_corrupts"
  | "upstream_slow";

const pieceBytes = 2_048;
/** So much longer does a piece take while upstream is slow. */
const slowFactor = 6;

export interface SimUpstreamOptions {
  readonly world: World;
  readonly content: Content;
  /** Whether somebody has it whom the node does not know of. */
  readonly isUnseen: (node: NodeId, digest: Digest) => boolean;
}

export function makeSimUpstream({ world, content, isUnseen }: SimUpstreamOptions): SimUpstream {
  const { clock, random, plan, note, reached } = world;
  const gets: Get[] = [];
  const faults = new Map<UpstreamFault, number>();
  const getOf = (node: NodeId, digest: Digest, offset: number): Get => ({
    node,
    digest,
    offset,
    beganAtMs: clock.now(),
    isUnseen: isUnseen(node, digest),
    end: "running",
  });
  const has = (fault: UpstreamFault): boolean => (faults.get(fault) ?? 0) > 0;

  const laneOf = (repository: Repository, node: NodeId): Lane =>
    isOpen(repository)
      ? { name: `anonymous@default@${node}`, access: "public" }
      : { name: `ci@default@${node}`, access: "linked" };

  async function answer(repository: Repository, reference: Reference): Promise<Item> {
    await world.hop();
    if (has("upstream_down")) throw new PullringError("unavailable", "upstream is down");
    if (has("upstream_throttles")) throw new PullringError("throttled", "upstream has had enough");
    const digest = reference.startsWith("sha256:") ? (reference as Digest) : content.tagged(repository).at(-1);
    if (digest === undefined || !content.has(repository, digest)) throw new PullringError("missing", reference);
    return content.item(digest);
  }

  /** Follows a GET to its end, for the count. */
  async function counted<T>(get: Get, process: SimProcess, work: Promise<T>): Promise<T> {
    gets.push(get);
    note(`${get.node} GETs ${name(get.digest)} from ${get.offset}`);
    if (get.offset > 0) reached("resumed upstream from a partial spool");
    const died = process.died.catch((error: unknown) => {
      if (get.end === "running") get.end = "left";
      throw error;
    });
    try {
      const value = await Promise.race([work, died]);
      if (get.end === "running") get.end = "whole";
      return value;
    } catch (error) {
      if (get.end === "running") get.end = "refused";
      throw error;
    } finally {
      note(`${get.node} GET of ${name(get.digest)} ends: ${get.end}`);
    }
  }

  async function send(get: Get, process: SimProcess, { request, sink }: { request: BlobRequest; sink: BlobSink }) {
    const { repository, digest, offset, signal } = request;
    const leave = (): void => {
      if (!signal?.aborted) return;
      get.end = "left";
      throw signal.reason as Error;
    };
    const { bytes } = await answer(repository, digest);
    await process.running();
    leave();
    const isCut = has("upstream_cuts") && random.next() < 0.7;
    const isWrong = has("upstream_corrupts") && random.next() < 0.7;
    if (isWrong) get.end = "broken";
    const cutAt = isCut ? offset + random.below(bytes.length - offset + 1) : Infinity;
    sink.head({ lane: laneOf(repository, get.node), offset, size: bytes.length, resumable: true });
    for (let at = offset; at < bytes.length; at += pieceBytes) {
      await clock.sleep(random.below(plan.pieceMs + 1) * (has("upstream_slow") ? slowFactor : 1));
      await process.running();
      leave();
      if (at + pieceBytes > cutAt) {
        reached("upstream cut a body");
        get.end = "broken";
        throw new PullringError("cut", "upstream broke off");
      }
      const piece = Buffer.from(bytes.subarray(at, at + pieceBytes));
      if (isWrong) piece[0] = (piece[0] ?? 0) ^ 1;
      await sink.write(piece);
    }
  }

  return {
    gets,
    faults,
    of: (node, process) => ({
      manifests: {
        head: (repository, reference) =>
          process.run(async () => {
            const { bytes, digest } = await answer(repository, reference);
            return { lane: laneOf(repository, node), size: bytes.length, digest, mediaType: manifestType };
          }),
        get: (repository, reference) =>
          process.run(async () => {
            const digest = reference as Digest;
            const get = getOf(node, digest, 0);
            const { bytes } = await counted(get, process, answer(repository, reference));
            const sent = Buffer.from(bytes);
            if (has("upstream_corrupts")) {
              sent[0] = 0;
              get.end = "broken";
            }
            return { lane: laneOf(repository, node), bytes: sent, digest, mediaType: manifestType };
          }),
      },
      blobs: {
        head: (repository, digest) =>
          process.run(async () => {
            const { bytes } = await answer(repository, digest);
            return { lane: laneOf(repository, node), size: bytes.length };
          }),
        get: (request, sink) =>
          process.run(() => {
            const { digest, offset } = request;
            const get = getOf(node, digest, offset);
            return counted(get, process, send(get, process, { request, sink }));
          }),
      },
      lists: {
        tags: () => Promise.reject(new PullringError("unsupported", "no lists here")),
        referrers: () => Promise.reject(new PullringError("unsupported", "no lists here")),
      },
    }),
  };
}

/** A digest as it stands in a trace. */
export const name = (digest: string): string => digest.slice(7, 15);
