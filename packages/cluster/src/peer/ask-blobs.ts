import {
  PullringError,
  type BlobRequest,
  type BlobSink,
  type Clock,
  type Holder,
  type NodeId,
  type PeerBlobs,
  type PeerVerb,
  type Repository,
} from "@pullring/core";
import type { Digest } from "@pullring/oci";

import { peerLimits } from "../limits.ts";
import { headMsOf, type CallNode } from "./call-node.ts";
import { PeerFault } from "./peer-fault.ts";

export function makeAskBlobs(call: CallNode, clock: Clock): PeerBlobs {
  async function blob(verb: PeerVerb, node: NodeId, request: BlobRequest, sink: BlobSink): Promise<void> {
    const { repository, digest, offset, signal } = request;
    await call(node, {
      verb,
      target: { kind: "blob", verb, repository, digest },
      offset,
      headMs: headMsOf(verb),
      signal,
      onAnswer(facts, length) {
        const { access, size, state } = facts;
        if (access === undefined || size === undefined || facts.offset !== offset || size - offset !== length)
          throw new PeerFault("garbled", "a blob that is not what was asked for");
        const lane = { name: `peer:${node}`, access };
        sink.head({ lane, offset, size, resumable: true, whole: state === "whole" });
        return (chunk) => sink.write(chunk);
      },
    });
  }

  async function holding(node: NodeId, repository: Repository, digest: Digest, signal: AbortSignal): Promise<Holder> {
    const facts = await call(node, {
      verb: "holding",
      method: "HEAD",
      target: { kind: "blob", verb: "read", repository, digest },
      headMs: peerLimits.leafHeadMs,
      signal,
      onAnswer: () => () => {},
    });
    const { state, bytes, size, access } = facts;
    if (state === undefined || bytes === undefined || access === undefined)
      throw new PullringError("unreachable", `peer ${node}: says it holds something, but not what`);
    return { node, state, bytes, access, ...(size !== undefined && { size }) };
  }

  return {
    get: (node, request, sink) => blob("get", node, request, sink),
    read: (node, request, sink) => blob("read", node, request, sink),
    async holders(nodes, repository, digest) {
      const ended = new AbortController();
      const late = new AbortController();
      clock.sleep(peerLimits.holdersMs, ended.signal).then(
        () => late.abort(new Error("too late to be asked")),
        () => {},
      );
      const asked = nodes.slice(0, peerLimits.holdersMax).map((node) =>
        // Who has nothing, fails or is late is no holder; what it said of its health was reported.
        holding(node, repository, digest, late.signal).catch(() => undefined),
      );
      const holders = await Promise.all(asked);
      ended.abort();
      return holders.filter((holder) => holder !== undefined);
    },
  };
}
