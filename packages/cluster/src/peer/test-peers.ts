import { createHash } from "node:crypto";
import { once } from "node:events";
import type { RequestListener, ServerResponse } from "node:http";
import { performance } from "node:perf_hooks";
import type { TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import {
  bytesBody,
  hasCode,
  PullringError,
  type BlobHead,
  type Body,
  type Clock,
  type ErrorCode,
  type NodeId,
  type PeerService,
  type Repository,
} from "@pullring/core";
import { parseDigest, type Digest, type Tag } from "@pullring/oci";

import type { OnAsk, PeerAsked } from "./caller.ts";
import { makePeerClient, type PeerClient } from "./client.ts";
import { makePeerHandler, type PeerHandlerOptions, type PeerSender, type PeerServed } from "./handler.ts";
import { openPeerListener } from "./listener.ts";
import type { PeerTrust } from "./trust.ts";

export const realClock: Clock = {
  now: () => Date.parse(new Date().toISOString()),
  monotonic: () => performance.now(),
  sleep: (ms, signal) => delay(ms, undefined, signal ? { signal } : {}),
};

/** The same clock, as somebody would see it whose wall clock is wrong and who started long ago. */
export const skewedClock = (byMs: number): Clock => ({
  ...realClock,
  now: () => realClock.now() + byMs,
  monotonic: () => realClock.monotonic() + Math.abs(byMs),
});

export const repository: Repository = { upstream: "docker.io", name: "library/alpine" };
export const latest = "latest" as Tag;
export const digestOf = (bytes: Uint8Array): Digest =>
  parseDigest(`sha256:${createHash("sha256").update(bytes).digest("hex")}`);

/** Bytes that are different everywhere. */
export function someBytes(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at + 4 <= length; at += 4) bytes.writeUInt32LE(at, at);
  return bytes;
}

const nothing = (): Promise<never> => Promise.reject(new PullringError("missing", "nothing here"));

export const service = (parts: Partial<PeerService>): PeerService => ({
  openBlob: nothing,
  holding: () => Promise.resolve(undefined),
  manifest: nothing,
  resolve: nothing,
  fetch: nothing,
  purge: nothing,
  ...parts,
});

/** Serves one blob, public, from memory. */
export const serving = (bytes: Buffer): PeerService =>
  service({ openBlob: () => Promise.resolve({ body: bytesBody(bytes), access: "public" }) });

/** A body whose bytes end at `end`, and then fail. */
export const brokenBody = (bytes: Buffer, end: number): Body => ({
  size: bytes.length,
  next: (offset, until) =>
    offset < end
      ? { bytes: bytes.subarray(offset, Math.min(until, end)) }
      : Promise.reject(new PullringError("cut", "no more")),
  close: () => {},
});

export const sender: PeerSender = {
  async send(response, body, start, end) {
    let sent = 0;
    response.flushHeaders();
    while (start + sent < end && !response.destroyed) {
      const segment = await body.next(start + sent, end);
      if (!("bytes" in segment)) throw new Error("these tests have no files");
      sent += segment.bytes.length;
      if (!response.write(segment.bytes)) await roomIn(response);
    }
    return response.destroyed ? 0 : sent;
  },
  cut: (response: ServerResponse) => void response.socket?.end(),
};

async function roomIn(response: ServerResponse): Promise<void> {
  const either = new AbortController();
  const { signal } = either;
  // The one that loses rejects, which is no news.
  const events = ["drain", "close"].map((name) => once(response, name, { signal }));
  await Promise.race(events).finally(() => either.abort());
  await Promise.allSettled(events);
}

export interface PeerOptions {
  readonly service: PeerService;
  readonly id?: NodeId;
  readonly trust?: PeerTrust;
  readonly clock?: Clock;
  readonly epoch?: string;
  /** What it believes to be its own address. */
  readonly url?: string;
  /** Puts something in front of it, which is its address then. */
  readonly via?: (port: number) => Promise<string>;
  readonly hostOf?: (node: NodeId) => string | undefined;
  readonly around?: PeerHandlerOptions["around"];
}

export interface TestPeer {
  readonly port: number;
  readonly url: string;
  readonly served: PeerServed[];
  readonly epochs: string[];
  readonly faults: unknown[];
}

/** The receiving end of a node, on loopback. Ends with the test. */
export async function startPeer(t: TestContext, options: PeerOptions): Promise<TestPeer> {
  const { id = "n2", trust = {}, clock = realClock, epoch = "b".repeat(16) } = options;
  let handler: RequestListener | undefined;
  const listen = { host: "127.0.0.1", port: 0 };
  const listener = await openPeerListener({ listen, trust, handler: (...args) => handler?.(...args) });
  t.after(() => listener.close());
  const own = `${trust.tls ? "https" : "http"}://127.0.0.1:${listener.port}`;
  const url = (await options.via?.(listener.port)) ?? own;
  const peer: TestPeer = { port: listener.port, url, served: [], epochs: [], faults: [] };
  handler = makePeerHandler({
    service: options.service,
    self: { id, url: options.url ?? url },
    incarnation: "first",
    epoch: () => epoch,
    trust,
    hostOf: options.hostOf ?? (() => undefined),
    clock,
    fills: () => [{ digest: `sha256:${id}` }],
    quota: () => Promise.resolve([{ lane: id }]),
    view: (view, query) => ({ id, view, query }),
    sender,
    ...(options.around && { around: options.around }),
    observe: (served) => void peer.served.push(served),
    onEpoch: (_, seen) => void peer.epochs.push(seen),
    onFault: (error) => void peer.faults.push(error),
  });
  return peer;
}

export interface ClientOptions {
  readonly admits?: (address: string) => boolean;
  readonly urls: Readonly<Record<NodeId, string>>;
  readonly trust?: PeerTrust;
  readonly clock?: Clock;
  readonly self?: NodeId;
  readonly onAsk?: OnAsk;
}

export interface TestClient extends PeerClient {
  readonly reports: string[];
  readonly asked: PeerAsked[];
  readonly epochs: string[];
}

/** The sending end of a node. Ends with the test. */
export function clientFor(
  t: TestContext,
  { urls, admits, trust = {}, clock = realClock, self = "n1", onAsk }: ClientOptions,
): TestClient {
  const reports: string[] = [];
  const asked: PeerAsked[] = [];
  const epochs: string[] = [];
  const client = makePeerClient({
    admits,
    self,
    trust,
    clock,
    epoch: () => "a".repeat(16),
    urlOf: (node) => urls[node],
    report: (node, health) => void reports.push(`${node} ${health}`),
    observe: (one) => void asked.push(one),
    onAsk,
    onEpoch: (_, epoch) => void epochs.push(epoch),
  });
  t.after(() => client.close());
  return { ...client, reports, asked, epochs };
}

export interface Taken {
  readonly heads: BlobHead[];
  readonly bytes: () => Buffer;
  readonly sink: { head: (head: BlobHead) => void; write: (chunk: Uint8Array) => void };
}

/** A sink that keeps what it was given, as a copy. */
export function taking(): Taken {
  const heads: BlobHead[] = [];
  const chunks: Buffer[] = [];
  return {
    heads,
    bytes: () => Buffer.concat(chunks),
    sink: {
      head: (head) => void heads.push(head),
      write: (chunk) => void chunks.push(Buffer.from(chunk)),
    },
  };
}

/** For assert.rejects. */
export const failsAs =
  (code: ErrorCode, reason?: PullringError["reason"]) =>
  (error: unknown): true => {
    if (hasCode(error, code) && (reason === undefined || error.reason === reason)) return true;
    throw new Error(`not ${code} ${reason ?? ""}: ${String(error)}`, { cause: error });
  };
