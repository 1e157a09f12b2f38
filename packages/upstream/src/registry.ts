import { PullringError, type LaneFacts, type Take, type Told } from "@pullring/core";
import type { Digest } from "@pullring/oci";

import { makeAuthorizer, type Asker, type Grant } from "./authorizer.ts";
import { makeCollector } from "./collector.ts";
import type { RequestKind, UpstreamConfig, UpstreamsOptions } from "./config.ts";
import { makeCoolDowns } from "./cool-downs.ts";
import type { BodySink } from "./intake.ts";
import { makeCounted, settle, unanswered, type Purse } from "./counted.ts";
import { makeLaneChoice } from "./lane-choice.ts";
import { makeLaneTable } from "./lane-table.ts";
import { makeLanes, type AccountLane } from "./lanes.ts";
import { limits } from "./limits.ts";
import { makeLogins } from "./logins.ts";
import type { Answer, FollowedRequest } from "./redirects.ts";
import { makePayers } from "./payers.ts";
import { isPullLimit, makeRefusals, type Refusal } from "./refusals.ts";
import type { Lookup } from "./resolver.ts";
import { retrying } from "./retry.ts";
import { makeSender } from "./sender.ts";
import { makeSpending, type CountedOrder } from "./spending.ts";
import { makeTokenServer } from "./token-server.ts";
import { makeTokens } from "./tokens.ts";
import { makeTransport, type Transport } from "./transport.ts";
import type { WireFault } from "./wire-error.ts";

/** One question to a registry about one repository. */
export interface Order {
  readonly kind: RequestKind;
  /** Name of the repository, by the grammar of names. */
  readonly repository: string;
  /** What stands behind the name: `manifests/latest`. */
  readonly path: string;
  readonly method?: "HEAD";
  readonly accept?: string;
  readonly range?: string;
  readonly bulk?: boolean;
  readonly follow?: boolean;
  readonly retriesMax?: number;
  /** Another fault that is worth another try: `cut`, when nobody has seen the body yet. */
  readonly retryAlso?: WireFault;
  /** Which statuses are answers; the others are refusals. 200 alone unless told. */
  readonly accepts?: readonly number[];
  readonly signal?: AbortSignal | undefined;
}

/** Takes an answer; a throw ends the request with that error. */
type Receive = (answer: Answer, lane: AccountLane) => BodySink | undefined;

/** How to ask one upstream, with all that this may take: lanes, tokens, redirects, retries, pauses. */
export interface Registry {
  /** Resolves after the last byte. Rejects with PullringError, the signal's reason, or what the receiver threw. */
  ask(order: Order, receive: Receive): Promise<void>;
  /**
   * As `ask`, for what the upstream counts: by the lane that has most left, which may be another node's. Where nothing is counted it is
   * as `ask`.
   */
  askCounted(order: Order & CountedOrder, receive: Receive, elsewhere: Elsewhere): Promise<void>;
  /** By one lane of this node, whose budget somebody else has taken from. */
  askBy(lane: string, order: Order & CountedOrder, receive: Receive): Promise<Told | "spent">;
  /** Why a counted request would be refused now. */
  refusal(order: CountedOrder): Promise<PullringError | undefined>;
  /** A HEAD by tag has named a digest. */
  named(order: CountedOrder, digest: Digest): void;
  lanes(): readonly LaneFacts[];
  close(): Promise<void>;
}

type Elsewhere = (lane: LaneFacts) => Promise<Told | "spent">;

export interface RegistryOptions extends Omit<UpstreamsOptions, "upstreams"> {
  readonly upstream: UpstreamConfig;
  readonly resolve: Lookup;
  /** Something may have changed of the lanes. */
  readonly onLanes: () => void;
}

/** Where a registry sends us with a signature; 401, 403 and 410 there mean that it has run out. */
const expired: ReadonlySet<number> = new Set([401, 403, 410]);

const aboutManifests: ReadonlySet<RequestKind> = new Set(["manifest_head", "manifest_get"]);

export function makeRegistry(options: RegistryOptions): Registry {
  const { upstream, clock, random } = options;
  const { transports, lanes, payers, spending, table, choice, send, logins, authorizer, errorOf, base } =
    makeParts(options);
  const { budgets, onLanes } = options;

  /** Resolves to a refusal, or to undefined when the answer was received. */
  async function once(order: Order, { lane, grant, purse }: OnLane & { grant: Grant }, receive: Receive) {
    const { kind, accepts = [200] } = order;
    const errorBody = makeCollector(limits.errorBytesMax, () => {});
    let refused = false;
    const request = wireRequest(base, order, grant);
    const take = await purse?.next();
    const askedAt = clock.monotonic();
    try {
      const answer = await send({ kind, lane, request }, (found) => {
        refused = !accepts.includes(found.status);
        return refused ? errorBody : receive(found, lane);
      });
      const body = errorBody.bytes();
      const isLimit = answer.status === 429 && isPullLimit({ answer, body, kind });
      if (spending && aboutManifests.has(kind))
        settle(answer, { lane, payers, budgets, clock }, { take, askedAt, isLimit });
      return refused ? ({ answer, body, kind, lane } satisfies Refusal) : undefined;
    } catch (error) {
      take?.settle(unanswered(error));
      throw error;
    } finally {
      if (spending) onLanes();
    }
  }

  async function onLane(order: Order, by: OnLane, receive: Receive): Promise<void> {
    const { lane } = by;
    const asker: Asker = { lane, repository: order.repository, signal: order.signal };
    let grant = await authorizer.grant(asker);
    let [reauthorized, reasked] = [false, false];
    for (;;) {
      const refusal = await once(order, { ...by, grant }, receive);
      if (!refusal) return grant.login && logins.accept(grant.login);
      const { answer } = refusal;
      if (answer.status === 401 && answer.direct && !reauthorized) {
        reauthorized = true;
        const better = await authorizer.regrant(asker, { answer, grant });
        if (!better) throw errorOf(refusal);
        grant = better;
      } else if (expired.has(answer.status) && !answer.direct && !reasked) {
        reasked = true;
      } else {
        throw errorOf(refusal);
      }
    }
  }

  const byLane = (order: Order, by: OnLane, receive: Receive): Promise<void> =>
    retrying({ clock, random, ...retryOf(order) }, () => onLane(order, by, receive));

  function mayAsk({ signal }: Order): void {
    signal?.throwIfAborted();
    if (upstream.offline) throw new PullringError("unavailable", `${upstream.name} is set to be offline`);
  }

  async function ask(order: Order, receive: Receive): Promise<void> {
    mayAsk(order);
    await choice.over(order, (lane) => byLane(order, { lane }, receive));
  }

  const sendCounted = spending && makeCounted({ choice, lanes, spending, payers, others: table.others });
  const soundingOf = (order: Order): Order => ({ ...order, kind: "manifest_head", method: "HEAD", signal: undefined });

  return {
    ask,
    async askCounted(order, receive, elsewhere) {
      if (!sendCounted) return ask(order, receive);
      mayAsk(order);
      await sendCounted(order, {
        send: (lane, purse) => byLane(order, { lane, purse }, receive),
        sound: (lane) => byLane(soundingOf(order), { lane }, () => undefined),
        elsewhere,
      });
    },
    async askBy(name, order, receive) {
      mayAsk(order);
      const lane = lanes.forRepository(order.repository).find((one) => one.name === name);
      if (!lane) throw new PullringError("unavailable", "this node has no such lane");
      let outcome: Told | "spent" = "spent";
      // What was taken is in the hands of who asked, for one request.
      let left = 1;
      const settle: Take["settle"] = (found) => {
        if (typeof found === "object" && "remaining" in found) outcome = found;
        if (found === "unspent") left += 1;
      };
      const next = (): Promise<Take> => {
        if ((left -= 1) < 0) throw new PullringError("throttled", "one request was allowed");
        return Promise.resolve({ key: payers.of(lane).key, settle });
      };
      await onLane(order, { lane, purse: { next, close: () => {} } }, receive);
      return outcome;
    },
    refusal: async (order) => spending?.refusal(order, lanes.forRepository(order.repository), table.others()),
    named: (order, digest) => spending?.named(order, digest),
    lanes: () => table.facts(),
    async close() {
      table.close();
      await Promise.all([...transports.values()].map((transport) => transport.close()));
    },
  };
}

interface OnLane {
  readonly lane: AccountLane;
  /** Where each request is counted. */
  readonly purse?: Purse;
}

function makeParts(options: RegistryOptions) {
  const { upstream, clock, random, node, observe, onWire, log, resolve, egress, budgets, board } = options;
  const base = `${upstream.url.origin}${upstream.url.pathname.replace(/\/+$/, "")}/v2/`;
  const accounts = options.accounts.filter((account) => account.upstream === upstream.name);
  const { quota } = upstream;
  const lanes = makeLanes({ accounts, egress, node, isAnonymous: quota?.anonymous ?? true });
  const transports = new Map(egress.map((way) => [way.name, makeTransport({ upstream, egress: way, clock, resolve })]));
  const transportOf = (lane: AccountLane): Transport => {
    const transport = transports.get(lane.egress.name);
    if (!transport) throw new PullringError("unavailable", `there is no egress ${lane.egress.name}`);
    return transport;
  };
  const isDown = (lane: AccountLane): boolean => transportOf(lane).isDown();
  const coolDowns = makeCoolDowns(upstream.name, clock);
  const logins = makeLogins({ upstream: upstream.name, clock, log });
  const payers = makePayers(upstream.name);
  const isCounted = quota !== undefined;
  const table = makeLaneTable({ upstream: upstream.name, lanes, coolDowns, logins, payers, isDown, isCounted, board });
  const { pause } = table;
  const send = makeSender({ upstream, transportOf, pause, coolDowns, clock, observe, onWire, log });
  const errorOf = makeRefusals({ upstream: upstream.name, coolDowns, pause, clock, log });
  const server = makeTokenServer({ upstream, send, logins, clock, log, errorOf });
  const tokens = makeTokens({ server, coolDowns, clock, retry: { clock, random } });
  const authorizer = makeAuthorizer({ pingUrl: new URL(base), send, logins, tokens, errorOf });
  const choice = makeLaneChoice({ lanes, coolDowns, logins, isDown, clock });
  const spending = quota && makeSpending({ upstream: upstream.name, quota, budgets, payers, clock });
  return { transports, lanes, payers, spending, table, choice, send, logins, authorizer, errorOf, base };
}

const retryOf = ({ retriesMax, retryAlso, signal }: Order) => ({
  signal,
  ...(retriesMax === undefined ? {} : { retriesMax }),
  ...(retryAlso === undefined ? {} : { also: retryAlso }),
});

function wireRequest(base: string, order: Order, { authorization }: Grant): FollowedRequest {
  const { repository, path, method = "GET", accept, range, bulk = false, follow = true, signal } = order;
  const headers = { ...(accept === undefined ? {} : { accept }), ...(range === undefined ? {} : { range }) };
  return { url: new URL(`${base}${repository}/${path}`), method, headers, bulk, follow, signal, authorization };
}
