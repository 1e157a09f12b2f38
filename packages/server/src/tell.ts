import type { CacheEvent } from "@pullring/core";

import type { Exchange } from "./http/exchange.ts";
import type { Unreadable } from "./http/unreadable.ts";
import type { Parts } from "./parts.ts";

/** Counts and logs what the cache did. */
export function tellEvent(
  { log, metrics, ledger, trails }: Pick<Parts, "log" | "metrics" | "ledger" | "trails">,
  event: CacheEvent,
): void {
  ledger?.observe(event);
  trails.observe(event);
  switch (event.kind) {
    case "stale":
      metrics.stale(event.reason);
      break;
    case "mismatch": {
      const { source, from, upstream, digest, detail } = event;
      metrics.digestMismatch(source);
      log.error({ from, upstream, digest, detail }, "bytes that do not hash to their digest were sent");
      break;
    }
    case "joined":
      metrics.joined(event.where);
      break;
    case "fill_ended": {
      const { digest, state, bytes, kept, error } = event;
      if (state === "done" && kept) log.debug({ digest, bytes }, "fill done");
      else if (state === "passed") log.debug({ digest, bytes }, "fill done, and passed on");
      else if (state === "done") log.warn({ digest, bytes }, "fill done, but its bytes could not be kept");
      else log.warn({ digest, bytes, err: error }, `fill ${state}`);
      break;
    }
  }
}

/** Counts and logs one response; called once for each. */
export function tellEnd({ log, metrics, clock }: Pick<Parts, "log" | "metrics" | "clock">, exchange: Exchange): void {
  const { route, tier, outcome, repository, bytes, client, startedMs, firstByteMs, response, request } = exchange;
  const endedMs = clock.monotonic();
  const upstream = repository?.upstream ?? "none";
  const ttfbMs = (firstByteMs ?? endedMs) - startedMs;
  metrics.request({ route, tier, outcome, upstream }, { firstByteMs: ttfbMs, bytes });
  if (exchange.joined) metrics.joined("local");
  log.requestLine({
    client: client.address,
    user: client.user,
    method: request.method ?? "",
    upstream: repository?.upstream,
    name: repository?.name,
    reference: exchange.reference,
    route,
    tier,
    outcome,
    status: response.statusCode,
    bytes,
    ms: endedMs - startedMs,
    ttfbMs,
    requestId: exchange.id,
    error: exchange.error,
  });
}

/** Counts and logs an answer to what was no request. */
export function tellUnreadable({ log, metrics }: Pick<Parts, "log" | "metrics">, unreadable: Unreadable): void {
  const { status, client, error } = unreadable;
  const [route, tier, outcome] = ["other", "none", "invalid"] as const;
  metrics.request({ route, tier, outcome, upstream: "none" }, { firstByteMs: 0, bytes: 0 });
  log.requestLine({
    client,
    method: "",
    route,
    tier,
    outcome,
    status,
    bytes: 0,
    ms: 0,
    ttfbMs: 0,
    requestId: "",
    error,
  });
}
