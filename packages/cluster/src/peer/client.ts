import {
  PullringError,
  type LaneFetch,
  type NodeId,
  type PeerBlobs,
  type PeerManifests,
  type PurgeOrder,
} from "@pullring/core";

import { peerLimits } from "../limits.ts";
import { makeAskBlobs } from "./ask-blobs.ts";
import { makeAskLanes } from "./ask-lanes.ts";
import { makeAskManifests } from "./ask-manifests.ts";
import type { CallNode } from "./call-node.ts";
import { makeCaller, type CallerOptions } from "./caller.ts";
import { collect } from "./collect.ts";
import { parseHello, type PeerHello } from "./facts.ts";
import { formatPurge, type AdminView, type PeerTarget } from "./wire.ts";

type ToldTarget = Extract<PeerTarget, { kind: "fills" | "quota" | "admin" }>;

export interface PeerClientOptions extends CallerOptions {
  /** An origin; undefined = not a member. No other address is ever dialled. */
  readonly urlOf: (node: NodeId) => string | undefined;
}

/** The sending end. */
export interface PeerClient {
  readonly blobs: PeerBlobs;
  readonly manifests: PeerManifests;
  readonly lanes: LaneFetch;
  /** Resolves when the peer has purged. */
  purge(node: NodeId, order: PurgeOrder): Promise<void>;
  /** What the peer tells of its fills: JSON that nobody has looked at yet. */
  fills(node: NodeId): Promise<unknown>;
  /** What the peer tells of its lanes, the same. */
  quota(node: NodeId): Promise<unknown>;
  /** What else the peer's admin API tells of itself, the same; `query` as it stands behind the question mark. */
  view(node: NodeId, view: AdminView, query?: string): Promise<unknown>;
  /** Who answers at this origin; with `node`, only that one is believed. */
  hello(url: string, node?: NodeId, signal?: AbortSignal): Promise<PeerHello>;
  /** Ends every request that runs. */
  close(): Promise<void>;
}

export function makePeerClient(options: PeerClientOptions): PeerClient {
  const { clock, urlOf } = options;
  const caller = makeCaller(options);
  const call: CallNode = async (node, more) => {
    const url = urlOf(node);
    if (url === undefined) throw new PullringError("unreachable", `peer ${node}: not a member`);
    return await caller.call({ ...more, node, url });
  };

  async function told(node: NodeId, target: ToldTarget): Promise<unknown> {
    const body = collect(peerLimits.fillsBytesMax);
    const { onAnswer } = body;
    // A view may have to look at thousands of records; whether the peer lives is found out long before.
    const headMs = target.kind === "admin" ? peerLimits.ownerHeadMs : peerLimits.helloMs;
    await call(node, { verb: target.kind, target, headMs, onAnswer });
    return JSON.parse(body.text()) as unknown;
  }

  return {
    blobs: makeAskBlobs(call, clock),
    manifests: makeAskManifests(call, clock),
    lanes: makeAskLanes(call),
    async purge(node, order) {
      await call(node, {
        verb: "purge",
        method: "POST",
        target: { kind: "purge" },
        body: formatPurge(order, clock.now()),
        headMs: peerLimits.ownerHeadMs,
        onAnswer: () => () => {},
      });
    },
    fills: (node) => told(node, { kind: "fills" }),
    quota: (node) => told(node, { kind: "quota" }),
    view: (node, view, query = "") => told(node, { kind: "admin", view, query }),
    async hello(url, node, signal) {
      const body = collect(peerLimits.jsonBytesMax);
      const { onAnswer } = body;
      const target = { kind: "hello" } as const;
      await caller.call({ node, url, verb: "hello", target, headMs: peerLimits.helloMs, signal, onAnswer });
      const hello = parseHello(body.text());
      if (!hello) throw new PullringError("unreachable", `${new URL(url).host}: a greeting that can't be read`);
      return hello;
    },
    close: () => caller.close(),
  };
}
