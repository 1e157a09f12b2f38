import type { IncomingMessage } from "node:http";

import type { Clock, NodeId } from "@pullring/core";

import { peerLimits } from "../limits.ts";
import { parseRequestFacts, type Cause, type Refusal, type RequestFacts } from "./facts.ts";
import { makeReplayGuard } from "./replay-guard.ts";
import { makeNonce, secretOf } from "./seal.ts";
import { isNamed, makeCertificates, type PeerTrust } from "./trust.ts";
import { macHeader, requestHeader } from "./wire.ts";

export interface PeerSelf {
  readonly id: NodeId;
  /** Where peers dial this node: an origin. */
  readonly url: string;
}

export interface GateOptions {
  readonly self: PeerSelf;
  readonly trust: PeerTrust;
  readonly clock: Clock;
  /** The host of a member, as this node knows it; undefined = not a member that is known here. */
  readonly hostOf: (node: NodeId) => string | undefined;
}

/** Who asks, and how its answer is sealed. */
export interface Caller {
  readonly from: NodeId;
  readonly epoch: string;
  readonly seal?: { readonly secret: string; readonly request: string };
  readonly cause?: Cause;
  /** It is known, but gets no more than this word. */
  readonly refusal?: Refusal;
}

/** Decides who is let in. */
export interface Gate {
  readonly boot: string;
  timeMs(): number;
  /** undefined = a stranger, who is told nothing. */
  admit(request: IncomingMessage, body: string, isHello: boolean): Caller | undefined;
}

export function makeGate({ self, trust, clock, hostOf }: GateOptions): Gate {
  const { replayWindowMs: windowMs, noncesMax } = peerLimits;
  const guard = makeReplayGuard({ clock, boot: makeNonce(), windowMs, noncesMax });
  const certificateOf = makeCertificates();
  const ownHost = new URL(self.url).host;

  function sealOf(request: IncomingMessage, body: string, facts: string): Caller["seal"] {
    const mac = headerOf(request, macHeader);
    if (mac === undefined || !trust.secrets) return undefined;
    const { method = "", url = "" } = request;
    const sealed = { method, target: url, range: request.headers.range, body, facts };
    const secret = secretOf(trust.secrets(), sealed, mac);
    return secret === undefined ? undefined : { secret, request: mac };
  }

  function isCertified(request: IncomingMessage, from: NodeId): boolean {
    const certificate = certificateOf(request.socket);
    const host = hostOf(from);
    return certificate !== undefined && isNamed(certificate, host === undefined ? [from] : [from, host]);
  }

  function refusalOf(facts: RequestFacts, isSealed: boolean, isHello: boolean): Refusal | undefined {
    // Under TLS alone nothing can be replayed.
    const entry = isSealed ? guard.admit(facts) : "admitted";
    if (entry !== "admitted") return entry;
    if (facts.to !== self.id && !(isHello && facts.to === "")) return "node";
    // A member list that somebody else can write to must not turn him into a relay between two peers.
    if (facts.host !== ownHost) return "host";
    return facts.from === self.id && !isHello ? "loop" : undefined;
  }

  return {
    boot: guard.boot,
    timeMs: () => guard.timeMs(),
    admit(request, body, isHello) {
      const text = headerOf(request, requestHeader);
      if (text === undefined) return undefined;
      const seal = sealOf(request, body, text);
      if (trust.secrets && !seal) return undefined;
      const facts = parseRequestFacts(text);
      if (!facts || (trust.tls && !isCertified(request, facts.from))) return undefined;
      const refusal = refusalOf(facts, seal !== undefined, isHello);
      if (refusal === "replayed") return undefined;
      const { from, epoch, cause } = facts;
      return { from, epoch, ...(seal && { seal }), ...(cause && { cause }), ...(refusal && { refusal }) };
    },
  };
}

function headerOf(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return typeof value === "string" ? value : undefined;
}
