import { PullringError, type Clock, type NodeId } from "@pullring/core";

import { peerLimits } from "../limits.ts";
import { makeConnections, type Connections, type PeerConnections } from "./connections.ts";
import { formatFacts, parseAnswerFacts, type AnswerFacts, type Cause } from "./facts.ts";
import { exchangeWithPeer, type PeerHead, type TakeChunk } from "./peer-exchange.ts";
import { healthIn, PeerFault, toPullringError } from "./peer-fault.ts";
import { isSealed, makeNonce, sealRequest } from "./seal.ts";
import type { PeerTrust } from "./trust.ts";
import { answerHeader, formatTarget, macHeader, requestHeader, type PeerMethod, type PeerTarget } from "./wire.ts";

/** What came of one request to a peer: `aborted` by whoever wanted it, `error` for all that the peer itself said but "missing". */
export interface PeerAsked {
  readonly peer: NodeId;
  readonly verb: "get" | "read" | "holding" | "resolve" | "purge" | "hello" | "fills" | "fetch" | "quota" | "admin";
  readonly outcome: "ok" | "missing" | "refused" | "timeout" | "cut" | "error" | "aborted";
}

/** Is told of a request to a peer before it is sent. The `cause` goes along; `end` is called once. */
export type OnAsk = (asking: Pick<PeerAsked, "peer" | "verb"> & { readonly target: PeerTarget }) => {
  readonly cause: Cause | undefined;
  end(outcome: PeerAsked["outcome"]): void;
};

export interface CallerOptions {
  readonly self: NodeId;
  readonly epoch: () => string;
  readonly trust: PeerTrust;
  /** Whether an address may be dialled; absent = any. */
  readonly admits?: ((address: string) => boolean) | undefined;
  readonly clock: Clock;
  /** What an exchange told of a peer's health. */
  readonly report: (node: NodeId, health: "ok" | "refused" | "timeout") => void;
  readonly observe?: (asked: PeerAsked) => void;
  readonly onAsk?: OnAsk | undefined;
  /** The ring that a peer has told of. */
  readonly onEpoch?: (node: NodeId, epoch: string) => void;
}

export interface Call {
  /** undefined where only the address is known. */
  readonly node: NodeId | undefined;
  readonly url: string;
  readonly verb: PeerAsked["verb"];
  readonly method?: PeerMethod;
  readonly target: PeerTarget;
  readonly offset?: number;
  readonly body?: string;
  readonly cause?: Cause | undefined;
  readonly headMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Called once, for a good answer: who takes its `length` bytes. */
  readonly onAnswer: (facts: AnswerFacts, length: number) => TakeChunk;
}

export interface Caller {
  /** Resolves after the last byte. Rejects with PullringError, the signal's reason, or what `onAnswer` or the taker threw. */
  call(call: Call): Promise<AnswerFacts>;
  close(): Promise<void>;
}

/** Once for a time that the receiver had not told yet, once for a kept connection that was closed meanwhile. */
const attemptsMax = 3;

/** Sends sealed requests and believes sealed answers only. */
export function makeCaller(options: CallerOptions): Caller {
  return new SealingCaller(options);
}

interface SealedOrder {
  readonly path: string;
  readonly method: PeerMethod;
  readonly headers: Record<string, string>;
  readonly body?: string;
  /** What the answer must be sealed with. */
  readonly seal: { readonly secret: string; readonly mac: string } | undefined;
}

class SealingCaller implements Caller {
  readonly #options: CallerOptions;
  readonly #connections: Connections;

  constructor(options: CallerOptions) {
    const { clock, trust, admits } = options;
    this.#options = options;
    this.#connections = makeConnections({ clock, tls: trust.tls, admits });
  }

  async call(call: Call): Promise<AnswerFacts> {
    const { node, verb, signal } = call;
    const peer = node ?? new URL(call.url).host;
    // An address may be anybody's word: it is no label.
    const asked = { peer: node ?? "unknown", verb };
    const told = this.#options.onAsk?.({ ...asked, target: call.target });
    const observe = (outcome: PeerAsked["outcome"]): void => {
      this.#options.observe?.({ ...asked, outcome });
      told?.end(outcome);
    };
    try {
      const facts = await this.#run({ ...call, cause: told?.cause }, this.#connections.to(node, call.url));
      observe("ok");
      return facts;
    } catch (error) {
      if (signal?.aborted && error === signal.reason) {
        observe("aborted");
        throw error;
      }
      const health = healthIn(error);
      if (node !== undefined && health) this.#options.report(node, health);
      observe(outcomeOf(error, health));
      throw toPullringError(error, peer);
    }
  }

  close(): Promise<void> {
    return this.#connections.close();
  }

  async #run(call: Call, peer: PeerConnections): Promise<AnswerFacts> {
    for (let attempts = 1; ; attempts += 1) {
      try {
        const facts = await this.#attempt(call, peer);
        if (facts.refusal !== "clock" || attempts === attemptsMax) return answered(facts);
      } catch (error) {
        const isStale = error instanceof PeerFault && error.kind === "reset" && attempts < attemptsMax && !costs(call);
        if (!isStale) throw error;
      }
    }
  }

  async #attempt(call: Call, peer: PeerConnections): Promise<AnswerFacts> {
    const { clock, report, onEpoch } = this.#options;
    const { seal, ...order } = this.#orderOf(call, peer);
    let facts: AnswerFacts | undefined;
    await exchangeWithPeer({
      dispatcher: dispatcherFor(call, peer),
      order: { ...order, origin: peer.url.origin },
      clock,
      headMs: call.headMs,
      isAlive: isWaitedFor(call) ? () => this.#isAlive(call, peer) : undefined,
      signal: call.signal,
      onHead(head) {
        facts = believe(call, head, seal);
        peer.told = { boot: facts.boot, aheadMs: facts.timeMs - clock.monotonic() };
        if (call.node !== undefined && !facts.refusal) report(call.node, "ok");
        onEpoch?.(facts.from, facts.epoch);
        return facts.error || facts.refusal ? refuseBytes : call.onAnswer(facts, lengthOf(head));
      },
    });
    if (!facts) throw new PeerFault("garbled", "no answer");
    return facts;
  }

  #orderOf(call: Call, peer: PeerConnections): SealedOrder {
    const { node = "", method = "GET", target, offset = 0, body = "", cause } = call;
    const { self, epoch, clock, trust } = this.#options;
    const { boot, aheadMs } = peer.told ?? { boot: "", aheadMs: 0 };
    const timeMs = Math.round(clock.monotonic() + aheadMs);
    const own = { from: self, to: node, host: peer.url.host, epoch: epoch(), boot, timeMs, nonce: makeNonce() };
    const facts = formatFacts({ ...own, cause });
    const path = formatTarget(target);
    const range = offset === 0 ? undefined : `bytes=${offset}-`;
    const secret = currentSecret(trust);
    const mac = secret && sealRequest(secret, { method, target: path, range, body, facts });
    const headers = { [requestHeader]: facts, ...(mac && { [macHeader]: mac }), ...(range && { range }) };
    const seal = secret && mac ? { secret, mac } : undefined;
    return { path, method, headers, seal, ...(method === "POST" && { body }) };
  }

  /** One question for everybody who waits for the same peer. */
  #isAlive({ node, url }: Call, peer: PeerConnections): Promise<boolean> {
    const target = { kind: "hello" } as const;
    const headMs = peerLimits.helloMs;
    peer.asking ??= this.#run({ node, url, verb: "hello", target, headMs, onAnswer: () => ignoreBytes }, peer)
      .then(
        () => true,
        () => false,
      )
      .finally(() => (peer.asking = undefined));
    return peer.asking;
  }
}

/** Nothing of an answer counts before this. */
function believe({ node }: Call, { status, headers }: PeerHead, seal: SealedOrder["seal"]): AnswerFacts {
  const text = headers[answerHeader];
  if (typeof text !== "string") throw new PeerFault("garbled", `status ${status}, not from a peer`);
  if (seal) {
    const answer = { request: seal.mac, status, contentLength: headers["content-length"] ?? "", facts: text };
    const mac = headers[macHeader];
    if (typeof mac !== "string" || !isSealed(seal.secret, answer, mac))
      throw new PeerFault("garbled", "an answer that is not sealed for this request");
  }
  const facts = parseAnswerFacts(text);
  if (!facts) throw new PeerFault("garbled", "an answer that can't be read");
  if (node !== undefined && facts.from !== node) throw new PeerFault("garbled", `node ${facts.from} answered`);
  return facts;
}

function dispatcherFor(
  { verb, target, method }: Call,
  { hello, bulk, small }: PeerConnections,
): PeerConnections["bulk"] {
  if (verb === "hello") return hello;
  return target.kind === "blob" && method !== "HEAD" ? bulk : small;
}

/** What may have been carried out, and is paid for each time. */
const costs = ({ verb }: Call): boolean => verb === "fetch";

/** A question for a sign of life follows on no question that is over soon anyway. */
const isWaitedFor = ({ verb }: Call): boolean => verb !== "hello" && verb !== "holding";

/** Errors and refusals have no body. */
const refuseBytes = (): void => {
  throw new PeerFault("garbled", "bytes where none belong");
};
const ignoreBytes = (): void => {};

function currentSecret({ secrets }: PeerTrust): string | undefined {
  if (!secrets) return undefined;
  const current = secrets().find((secret) => secret !== "");
  if (current === undefined) throw new PeerFault("refused", "there is no secret to speak to it");
  return current;
}

function lengthOf({ headers }: PeerHead): number {
  const length = Number(headers["content-length"]);
  if (headers["content-length"] === undefined || !Number.isSafeInteger(length) || length < 0)
    throw new PeerFault("garbled", "an answer without a length");
  return length;
}

function answered(facts: AnswerFacts): AnswerFacts {
  const { error, refusal, from } = facts;
  if (error) {
    const { code, ...more } = error;
    throw new PullringError(code, `peer ${from}: ${code}`, more);
  }
  if (refusal === "crowded") throw new PeerFault("crowded", "it takes no more requests");
  // An address that leads to somebody else is of no use; a peer that does not know a request may know the next one.
  const isElsewhere = refusal === "node" || refusal === "host" || refusal === "clock";
  if (refusal) throw new PeerFault(isElsewhere ? "garbled" : "declined", `it refuses this request (${refusal})`);
  return facts;
}

function outcomeOf(error: unknown, health: ReturnType<typeof healthIn>): PeerAsked["outcome"] {
  if (health) return health;
  if (error instanceof PullringError) return error.code === "missing" ? "missing" : "error";
  if (!(error instanceof PeerFault) || error.kind === "declined") return "error";
  return error.kind === "cut" ? "cut" : "timeout";
}
