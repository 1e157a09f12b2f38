import type { NodeId, PeerVerb } from "@pullring/core";

import { peerLimits } from "../limits.ts";
import type { Call } from "./caller.ts";
import type { AnswerFacts } from "./facts.ts";

/** Calls a member where it is known to be. */
export type CallNode = (node: NodeId, call: Omit<Call, "node" | "url">) => Promise<AnswerFacts>;

export const headMsOf = (verb: PeerVerb): number => (verb === "get" ? peerLimits.ownerHeadMs : peerLimits.leafHeadMs);
