import { hasCode, limits as coreLimits, PullringError, type LaneAnswer, type LaneFetch } from "@pullring/core";
import { parseDigest } from "@pullring/oci";

import { peerLimits } from "../limits.ts";
import type { CallNode } from "./call-node.ts";
import { collect } from "./collect.ts";
import { formatOrder } from "./wire.ts";

/** A peer that can't be asked, an older one without the verb too, is a lane that fails, not a fault of the pull. */
export function makeAskLanes(call: CallNode): LaneFetch {
  return {
    async fetch(node, order) {
      const body = collect(coreLimits.manifestBytesMax);
      try {
        const { access, outcome, digest, mediaType } = await call(node, {
          verb: "fetch",
          method: "POST",
          target: { kind: "fetch" },
          body: formatOrder(order),
          headMs: peerLimits.ownerHeadMs,
          onAnswer: body.onAnswer,
        });
        if (access === undefined || outcome === undefined)
          throw new PullringError("unavailable", `peer ${node}: a manifest without what it cost`);
        const told = {
          ...(digest !== undefined && { digest: parseDigest(digest) }),
          ...(mediaType !== undefined && { mediaType }),
        };
        return {
          answer: { lane: { name: order.lane, access }, bytes: body.sealed(), ...told },
          outcome,
        } satisfies LaneAnswer;
      } catch (error) {
        if (!hasCode(error, "unreachable", "cut", "busy")) throw error;
        const { message, reason } = error;
        throw new PullringError("unavailable", message, { reason, cause: error });
      }
    },
  };
}
