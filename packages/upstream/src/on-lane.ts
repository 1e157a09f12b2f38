import type { Budgets, Clock } from "@pullring/core";

import type { Asker, Authorizer, Grant } from "./authorizer.ts";
import { makeCollector } from "./collector.ts";
import type { RequestKind } from "./config.ts";
import type { AccountLane } from "./lanes.ts";
import { limits } from "./limits.ts";
import type { Logins } from "./logins.ts";
import type { Order, Receive } from "./order.ts";
import type { Payers } from "./payers.ts";
import type { Purse } from "./purse.ts";
import type { FollowedRequest } from "./redirects.ts";
import { isPullLimit, type ErrorOf, type Refusal } from "./refusals.ts";
import { retrying } from "./retry.ts";
import type { Send } from "./sender.ts";
import { settle, unanswered } from "./settle.ts";

export interface OnLane {
  readonly lane: AccountLane;
  /** Where each request is counted. */
  readonly purse?: Purse;
}

export interface OnLaneOptions {
  /** Ends in `/v2/`. */
  readonly base: string;
  readonly send: Send;
  readonly authorizer: Authorizer;
  readonly logins: Logins;
  readonly errorOf: ErrorOf;
  readonly payers: Payers;
  readonly budgets: Budgets;
  /** Whether the upstream counts requests. */
  readonly isCounted: boolean;
  readonly clock: Clock;
  readonly random: () => number;
  /** Something may have changed of the lanes. */
  readonly onLanes: () => void;
}

/** Asks by one lane, with its token, once more with a better one, and again after what is worth it. Rejects with PullringError. */
export interface AskOnLane {
  readonly once: (order: Order, by: OnLane, receive: Receive) => Promise<void>;
  readonly retrying: (order: Order, by: OnLane, receive: Receive) => Promise<void>;
}

/** Where a registry sends us with a signature; 401, 403 and 410 there mean that it has run out. */
const expired: ReadonlySet<number> = new Set([401, 403, 410]);

const aboutManifests: ReadonlySet<RequestKind> = new Set(["manifest_head", "manifest_get"]);

export function makeAskOnLane(options: OnLaneOptions): AskOnLane {
  const { base, send, authorizer, logins, errorOf, payers, budgets, isCounted, clock, random, onLanes } = options;

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
      if (isCounted && aboutManifests.has(kind))
        settle(answer, { lane, payers, budgets, clock }, { take, askedAt, isLimit });
      return refused ? ({ answer, body, kind, lane } satisfies Refusal) : undefined;
    } catch (error) {
      take?.settle(unanswered(error));
      throw error;
    } finally {
      if (isCounted) onLanes();
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

  const byLane: AskOnLane["retrying"] = (order, by, receive) =>
    retrying({ clock, random, ...retryOf(order) }, () => onLane(order, by, receive));

  return { once: onLane, retrying: byLane };
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
