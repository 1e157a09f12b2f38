import { createServer, type IncomingMessage, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { performance } from "node:perf_hooks";
import type { TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import {
  hasCode,
  makeLocalBudgets,
  makeLocalPriorDigests,
  type Budgets,
  type LaneBoard,
  type LaneFetch,
  type BlobHead,
  type Clock,
  type ErrorCode,
  type PullringError,
  type Repository,
} from "@pullring/core";
import type { Digest, Tag } from "@pullring/oci";
import { startHub, type Hub, type HubAccount, type HubOptions } from "@pullring/testkit";

import {
  defaultEgress,
  makeUpstreams,
  type Egress,
  type AccountConfig,
  type OnWire,
  type UpstreamConfig,
  type UpstreamEvent,
  type Upstreams,
} from "./index.ts";

export const realClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) => delay(ms, undefined, signal ? { signal } : {}),
};

export const library = { upstream: "docker.io", name: "library/alpine" } satisfies Repository;
export const tag = (text: string): Tag => text as Tag;
export const digest = (text: string): Digest => text as Digest;

export interface RigOptions {
  readonly upstream?: Partial<UpstreamConfig>;
  readonly accounts?: readonly AccountConfig[];
  readonly clock?: Clock;
  readonly onWire?: OnWire;
  readonly egress?: readonly Egress[];
  readonly budgets?: Budgets;
  readonly board?: LaneBoard;
  readonly laneFetch?: LaneFetch;
  readonly node?: string;
}

export interface Rig extends Upstreams {
  readonly events: UpstreamEvent[];
  /** Every line that was logged, as one text. */
  readonly logged: () => string;
  /** Ends all requests and makes anew what a restart makes anew. */
  readonly count: (kind: UpstreamEvent["kind"]) => number;
}

/** One upstream, `docker.io`, with everything that its requests tell. */
export function rigFor(t: TestContext, url: string, options: RigOptions = {}): Rig {
  const { upstream, accounts = [], clock = realClock, onWire, egress = [defaultEgress], node = "n1" } = options;
  const events: UpstreamEvent[] = [];
  const lines: unknown[] = [];
  const note = (facts: Record<string, unknown>, message: string): void => void lines.push({ ...facts, message });
  const config: UpstreamConfig = {
    name: "docker.io",
    url: new URL(url),
    tokenOrigins: [],
    allowPrivateAddresses: false,
    connectionsMax: 64,
    bandwidthBytesPerSec: 0,
    offline: false,
    ...upstream,
  };
  const upstreams = makeUpstreams({
    upstreams: [config],
    accounts,
    clock,
    random: () => 0.5,
    node,
    egress,
    budgets: options.budgets ?? makeLocalBudgets({ clock }),
    priors: makeLocalPriorDigests(clock),
    board: options.board,
    laneFetch: options.laneFetch,
    observe: (event) => void events.push(event),
    onWire,
    log: { info: note, warn: note, error: note, debug: note },
  });
  t.after(() => upstreams.close());
  const count: Rig["count"] = (kind) => events.filter((event) => event.kind === kind).length;
  return { ...upstreams, events, count, logged: () => JSON.stringify(lines) };
}

/** A hub and one upstream that is configured for it, as an operator would. */
export async function hubRig(
  t: TestContext,
  { hub: hubOptions = {}, ...options }: RigOptions & { readonly hub?: HubOptions } = {},
): Promise<{ hub: Hub; rig: Rig }> {
  const hub = await startHub(hubOptions);
  t.after(() => hub.close());
  const upstream = { tokenOrigins: [hub.tokenOrigin], allowPrivateAddresses: true, ...options.upstream };
  return { hub, rig: rigFor(t, hub.url, { ...options, upstream }) };
}

export const accountOf = (
  { username, password }: Pick<HubAccount, "username" | "password">,
  more: Partial<AccountConfig> = {},
): AccountConfig => ({
  name: username,
  upstream: "docker.io",
  username,
  password: { read: () => password },
  ...more,
});

export interface Scripted {
  readonly url: string;
  readonly requests: IncomingMessage[];
}

/** A server that answers as a test says. Ends with the test. */
export async function scripted(t: TestContext, answer: RequestListener): Promise<Scripted> {
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests };
}

export interface Fetched {
  readonly head: BlobHead;
  readonly bytes: Buffer;
}

export interface FetchOptions {
  readonly offset?: number;
  readonly end?: number;
  readonly signal?: AbortSignal;
  readonly repository?: Repository;
}

/** A blob, or a piece of it, in memory. */
export async function fetchBlob(rig: Upstreams, wanted: string, options: FetchOptions = {}): Promise<Fetched> {
  const { offset = 0, repository = library, ...rest } = options;
  const heads: BlobHead[] = [];
  const chunks: Uint8Array[] = [];
  const sink = {
    head: (head: BlobHead) => void heads.push(head),
    write: (chunk: Uint8Array) => void chunks.push(chunk),
  };
  await rig.blobs.get({ repository, digest: digest(wanted), offset, ...rest }, sink);
  const [head] = heads;
  if (heads.length !== 1 || !head) throw new Error(`${heads.length} heads`);
  return { head, bytes: Buffer.concat(chunks) };
}

/** For assert.rejects: a PullringError with this code, and perhaps this reason. */
export const failsAs =
  (code: ErrorCode, reason?: PullringError["reason"]) =>
  (error: unknown): true => {
    if (hasCode(error, code) && (reason === undefined || error.reason === reason)) return true;
    throw new Error(`not ${code} ${reason ?? ""}: ${String(error)}`, { cause: error });
  };
