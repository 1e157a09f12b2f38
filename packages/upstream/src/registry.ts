import { PullringError } from "@pullring/core";

import { makeAuthorizer, type Asker, type Grant } from "./authorizer.ts";
import { makeCollector } from "./collector.ts";
import type { RequestKind, UpstreamConfig, UpstreamsOptions } from "./config.ts";
import { makeCoolDowns } from "./cool-downs.ts";
import type { BodySink } from "./intake.ts";
import { makeLanes, type AccountLane } from "./lanes.ts";
import { makeLaneChoice } from "./lane-choice.ts";
import { limits } from "./limits.ts";
import { makeLogins } from "./logins.ts";
import type { Answer, FollowedRequest } from "./redirects.ts";
import { makeRefusals, type Refusal } from "./refusals.ts";
import type { Lookup } from "./resolver.ts";
import { retrying } from "./retry.ts";
import { makeSender } from "./sender.ts";
import { makeTokenServer } from "./token-server.ts";
import { makeTokens } from "./tokens.ts";
import { makeTransport } from "./transport.ts";
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
  close(): Promise<void>;
}

export interface RegistryOptions extends Omit<UpstreamsOptions, "upstreams"> {
  readonly upstream: UpstreamConfig;
  readonly resolve: Lookup;
}

/** Where a registry sends us with a signature; 401, 403 and 410 there mean that it has run out. */
const expired: ReadonlySet<number> = new Set([401, 403, 410]);

export function makeRegistry(options: RegistryOptions): Registry {
  const { upstream, accounts, clock, random, node, observe, onWire, log, resolve } = options;
  const base = `${upstream.url.origin}${upstream.url.pathname.replace(/\/+$/, "")}/v2/`;
  const transport = makeTransport({ upstream, clock, resolve });
  const coolDowns = makeCoolDowns(upstream.name, clock);
  const send = makeSender({ upstream, transport, coolDowns, clock, observe, onWire, log });
  const logins = makeLogins({ upstream: upstream.name, clock, log });
  const errorOf = makeRefusals({ upstream: upstream.name, coolDowns, clock, log });
  const server = makeTokenServer({ upstream, send, logins, clock, log, errorOf });
  const tokens = makeTokens({ server, coolDowns, clock, retry: { clock, random } });
  const authorizer = makeAuthorizer({ pingUrl: new URL(base), send, logins, tokens, errorOf });
  const lanes = makeLanes(
    accounts.filter((account) => account.upstream === upstream.name),
    node,
  );
  const overLanes = makeLaneChoice({ lanes, coolDowns, logins, clock });

  /** Resolves to a refusal, or to undefined when the answer was received. */
  async function once(order: Order, { lane, grant }: { lane: AccountLane; grant: Grant }, receive: Receive) {
    const { kind, accepts = [200] } = order;
    const errorBody = makeCollector(limits.errorBytesMax, () => {});
    let refused = false;
    const request = wireRequest(base, order, grant);
    const answer = await send({ kind, lane, request }, (found) => {
      refused = !accepts.includes(found.status);
      return refused ? errorBody : receive(found, lane);
    });
    return refused ? ({ answer, body: errorBody.bytes(), kind, lane } satisfies Refusal) : undefined;
  }

  async function onLane(order: Order, lane: AccountLane, receive: Receive): Promise<void> {
    const asker: Asker = { lane, repository: order.repository, signal: order.signal };
    let grant = await authorizer.grant(asker);
    let [reauthorized, reasked] = [false, false];
    for (;;) {
      const refusal = await once(order, { lane, grant }, receive);
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

  return {
    async ask(order, receive) {
      order.signal?.throwIfAborted();
      if (upstream.offline) throw new PullringError("unavailable", `${upstream.name} is set to be offline`);
      const retry = { clock, random, ...retryOf(order) };
      await overLanes(order, (lane) => retrying(retry, () => onLane(order, lane, receive)));
    },
    close: () => transport.close(),
  };
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
