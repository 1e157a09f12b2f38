import type { Clock } from "@pullring/core";
import { makePlainDispatcher } from "@pullring/plain-http";
import { Agent } from "undici";

import { makeAddressGuard } from "./addresses.ts";
import { makeBreaker } from "./breaker.ts";
import type { UpstreamConfig } from "./config.ts";
import type { Egress } from "./egress.ts";
import { makeConnector } from "./connector.ts";
import { exchange, type Head, type OnHead, type WireRequest } from "./exchange.ts";
import { limits } from "./limits.ts";
import { makePace } from "./pace.ts";
import type { Lookup } from "./resolver.ts";
import { WireError } from "./wire-error.ts";

/** The connections to one upstream by one egress: to its registry, its token servers, its CDNs. */
export interface Transport {
  /** See `exchange`; a host that could not be reached a moment ago is not dialled. */
  exchange(request: WireRequest, onHead: OnHead): Promise<Head>;
  /** Whether the registry, or a server of its tokens, could not be reached a moment ago. */
  isDown(): boolean;
  /** Ends every request that runs. */
  close(): Promise<void>;
}

export interface TransportOptions {
  readonly upstream: UpstreamConfig;
  readonly egress: Egress;
  readonly clock: Clock;
  readonly resolve: Lookup;
}

export function makeTransport({ upstream, egress, clock, resolve }: TransportOptions): Transport {
  const trustedOrigins = new Set([upstream.url.origin, ...upstream.tokenOrigins.map((text) => new URL(text).origin)]);
  const connection = { upstream, egress, clock, resolve, trustedOrigins, guard: makeAddressGuard() };
  const connect = makeConnector(connection);
  const breaker = makeBreaker(clock);
  const pace = makePace(upstream.bandwidthBytesPerSec, clock);
  const small = Math.min(limits.smallConnectionsMax, Math.ceil(upstream.connectionsMax / 2));
  const bulk = Math.max(1, upstream.connectionsMax - small);
  const agents = {
    small: makeAgent(connect, small),
    bulk: makeAgent(connect, bulk),
    bulkPlain: makePlainDispatcher({
      connect: (onread) => makeConnector({ ...connection, onread }),
      connections: bulk,
      headBytesMax: limits.headBytesMax,
    }),
  };
  const agentFor = ({ bulk: isBulk, url }: WireRequest) =>
    isBulk ? (url.protocol === "http:" && !egress.proxy ? agents.bulkPlain : agents.bulk) : agents.small;

  return {
    async exchange(request, onHead) {
      request.signal?.throwIfAborted();
      const entered = breaker.enter(request.url.origin);
      if (typeof entered === "number")
        throw new WireError("unreachable", `${request.url.host}: could not be reached a moment ago`);
      return await exchange({ dispatcher: agentFor(request), request, onHead, clock, pace, onOutcome: entered });
    },
    isDown: () => [...trustedOrigins].some((origin) => breaker.isClosed(origin)),
    async close() {
      await Promise.all(Object.values(agents).map((agent) => agent.destroy()));
    },
  };
}

const makeAgent = (connect: ReturnType<typeof makeConnector>, connections: number): Agent =>
  new Agent({
    connect,
    connections,
    pipelining: 1,
    allowH2: false,
    // Every time limit is kept by `watch.ts` and the connector, on our own clock.
    headersTimeout: 0,
    bodyTimeout: 0,
    maxHeaderSize: limits.headBytesMax,
    keepAliveTimeout: limits.keepAliveMs,
  });
