import type { Stale } from "@pullring/core";
import type { Target } from "@pullring/oci";

import type { Exchange, Headers, Tier } from "./exchange.ts";

/** How a served body came here, for Cache-Status (RFC 9211). */
export interface Served {
  readonly tier: Exclude<Tier, "none">;
  readonly joined: boolean;
  readonly stale?: Stale;
}

export function cacheStatus({ tier, joined, stale }: Served): string {
  if (stale) return `pullring; hit; ttl=-${stale.overdueSec}; detail=stale`;
  if (!isForwarded(tier)) return `pullring; hit; detail=${tier}`;
  return `pullring; fwd=miss; detail=${tier}${joined ? "; collapsed" : ""}`;
}

const isForwarded = (tier: Served["tier"]): boolean => tier !== "memory" && tier !== "disk";

const why: Readonly<Record<Stale["reason"], string>> = {
  down: "upstream is down",
  throttled: "upstream limits our requests",
  timeout: "upstream did not answer in time",
  refused: "upstream refuses our credentials",
};

/** Headers that tell where a served body came from; the exchange is told too. */
export function servedHeaders(exchange: Exchange, target: Target, served: Served): Headers {
  exchange.tier = served.tier;
  exchange.joined = served.joined;
  exchange.outcome = served.stale ? "stale" : served.joined && isForwarded(served.tier) ? "joined" : "ok";
  const namespace = "ns" in target && target.ns !== undefined ? { "oci-namespace": target.ns } : {};
  return { "cache-status": cacheStatus(served), ...staleHeaders(served.stale), ...namespace };
}

/** Where an answer about a tag or a list came from: upstream if it was asked and answered. */
export const askedTier = ({ asked, stale }: { asked: boolean; stale?: Stale }): "upstream" | "disk" =>
  asked && !stale ? "upstream" : "disk";

/** RFC 9111 §5.1 Age, and Warning texts that clients print. */
export function staleHeaders(stale: Stale | undefined): Headers {
  if (!stale) return {};
  const warning = [
    '110 pullring "Response is Stale"',
    `299 - "stale: ${why[stale.reason]}, checked ${stale.ageSec} s ago"`,
  ];
  return { age: String(stale.ageSec), warning };
}

export const immutable = "max-age=31536000, immutable";
export const revalidate = "no-cache";
