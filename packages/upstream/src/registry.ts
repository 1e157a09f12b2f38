import { PullringError, type LaneFacts, type Take, type Told } from "@pullring/core";
import type { Digest } from "@pullring/oci";

import { makeAuthorizer } from "./authorizer.ts";
import type { UpstreamConfig, UpstreamsOptions } from "./config.ts";
import { makeCoolDowns } from "./cool-downs.ts";
import { Counted } from "./counted.ts";
import { makeLaneChoice } from "./lane-choice.ts";
import { makeLaneTable } from "./lane-table.ts";
import { makeLanes, type AccountLane } from "./lanes.ts";
import { makeLogins } from "./logins.ts";
import { makeAskOnLane } from "./on-lane.ts";
import type { Order, Receive } from "./order.ts";
import { makePayers } from "./payers.ts";
import { makeRefusals } from "./refusals.ts";
import type { Lookup } from "./resolver.ts";
import { makeSender } from "./sender.ts";
import { makeSpending, type CountedOrder } from "./spending.ts";
import { makeTokenServer } from "./token-server.ts";
import { makeTokens } from "./tokens.ts";
import { makeTransport, type Transport } from "./transport.ts";

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
  /** A HEAD by tag has named a digest, or an index its children. Never rejects. */
  named(order: CountedOrder, digests: readonly Digest[]): Promise<void>;
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

export function makeRegistry(options: RegistryOptions): Registry {
  const { upstream } = options;
  const { transports, lanes, payers, spending, table, choice, onLane } = makeParts(options);

  function mayAsk({ signal }: Order): void {
    signal?.throwIfAborted();
    if (upstream.offline) throw new PullringError("unavailable", `${upstream.name} is set to be offline`);
  }

  async function ask(order: Order, receive: Receive): Promise<void> {
    mayAsk(order);
    await choice.over(order, (lane) => onLane.retrying(order, { lane }, receive));
  }

  const others = (): readonly LaneFacts[] => table.others();
  const counted = spending && new Counted({ choice, lanes, spending, payers, others });
  const soundingOf = (order: Order): Order => ({ ...order, kind: "manifest_head", method: "HEAD", signal: undefined });

  return {
    ask,
    async askCounted(order, receive, elsewhere) {
      if (!counted) return ask(order, receive);
      mayAsk(order);
      await counted.send(order, {
        send: (lane, purse) => onLane.retrying(order, { lane, purse }, receive),
        sound: (lane) => onLane.retrying(soundingOf(order), { lane }, () => undefined),
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
      await onLane.once(order, { lane, purse: { next, close: () => {} } }, receive);
      return outcome;
    },
    refusal: async (order) => spending?.refusal(order, lanes.forRepository(order.repository), table.others()),
    named: async (order, digests) => spending?.named(order, digests),
    lanes: () => table.facts(),
    async close() {
      table.close();
      await Promise.all([...transports.values()].map((transport) => transport.close()));
    },
  };
}

function makeParts(options: RegistryOptions) {
  const { upstream, clock, random, node, observe, onWire, log, resolve, egress, budgets, priors, board } = options;
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
  const onRefused = (account: string, seconds: number): void => table.refused(account, seconds);
  const logins = makeLogins({ upstream: upstream.name, clock, log, onRefused });
  const payers = makePayers(upstream.name);
  const isCounted = quota !== undefined;
  const table = makeLaneTable({ upstream: upstream.name, lanes, coolDowns, logins, payers, isDown, isCounted, board });
  const pause = (lane: AccountLane, seconds: number): void => table.pause(lane, seconds);
  const send = makeSender({ upstream, transportOf, pause, coolDowns, clock, observe, onWire, log });
  const errorOf = makeRefusals({ upstream: upstream.name, coolDowns, pause, clock, log });
  const server = makeTokenServer({ upstream, send, logins, clock, log, errorOf });
  const tokens = makeTokens({ server, coolDowns, clock, retry: { clock, random } });
  const authorizer = makeAuthorizer({ pingUrl: new URL(base), send, logins, tokens, errorOf });
  const choice = makeLaneChoice({ lanes, coolDowns, logins, isDown, clock });
  const spending = quota && makeSpending({ upstream: upstream.name, quota, budgets, priors, payers, clock });
  const onLane = makeAskOnLane({ ...options, base, send, authorizer, logins, errorOf, payers, isCounted });
  return { transports, lanes, payers, spending, table, choice, onLane };
}
