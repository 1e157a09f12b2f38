import {
  limits as coreLimits,
  PullringError,
  type Clock,
  type ManifestAnswer,
  type NodeId,
  type PeerManifests,
  type PeerVerb,
  type Repository,
} from "@pullring/core";
import type { Digest } from "@pullring/oci";

import { peerLimits } from "../limits.ts";
import { headMsOf, type CallNode } from "./call-node.ts";
import { collect } from "./collect.ts";
import { parseResolved } from "./facts.ts";

export function makeAskManifests(call: CallNode, clock: Clock): PeerManifests {
  async function manifest(
    verb: PeerVerb,
    node: NodeId,
    repository: Repository,
    digest: Digest,
  ): Promise<ManifestAnswer> {
    const body = collect(coreLimits.manifestBytesMax);
    const { access, mediaType } = await call(node, {
      verb,
      target: { kind: "manifest", verb, repository, digest },
      headMs: headMsOf(verb),
      onAnswer: body.onAnswer,
    });
    if (access === undefined || mediaType === undefined)
      throw new PullringError("unreachable", `peer ${node}: a manifest without its type`);
    return { lane: { name: `peer:${node}`, access }, digest, mediaType, bytes: body.bytes() };
  }

  return {
    get: (node, repository, digest) => manifest("get", node, repository, digest),
    read: (node, repository, digest) => manifest("read", node, repository, digest),
    async resolve(node, repository, tag, verb = "get") {
      const body = collect(peerLimits.jsonBytesMax);
      await call(node, {
        verb: "resolve",
        target: { kind: "tag", verb, repository, tag },
        headMs: headMsOf(verb),
        onAnswer: body.onAnswer,
      });
      const resolved = parseResolved(body.text(), clock.now());
      if (!resolved) throw new PullringError("unreachable", `peer ${node}: a tag that can't be read`);
      return resolved;
    },
  };
}
