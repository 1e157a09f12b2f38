import type { Clock } from "@pullring/core";

import { limits } from "./limits.ts";

/** How a request that was let through ended, as far as the host's health goes. */
export type HostOutcome =
  | "answered"
  /** No connection: refused, no name, no TLS. */
  | "unreachable"
  /** Connected, and no head in time. */
  | "silent"
  /** Given up by the caller: says nothing. */
  | "unknown";

export interface Breaker {
  /**
   * Asks to send to an origin. Either the ms until asking again makes sense, or a function to call once with how it ended.
   */
  enter(origin: string): number | ((outcome: HostOutcome) => void);
  /** Whether an origin could not be reached, and is not asked again yet, or by one request that finds out. */
  isClosed(origin: string): boolean;
}

interface Host {
  failures: number;
  silences: number;
  closedUntilMs: number;
  probing: boolean;
}

/**
 * Fails fast while a host can't be reached: for 1 s after the first failure, doubling to 10 s; then one request at a time may try.
 * Per origin, so that a dead CDN does not take the registry with it.
 */
export function makeBreaker(clock: Clock): Breaker {
  // Only hosts in trouble have an entry.
  const hosts = new Map<string, Host>();

  function fail(host: Host): void {
    const pauseMs = Math.min(limits.breakerMsMax, limits.breakerMs * 2 ** host.failures);
    host.failures += 1;
    host.silences = 0;
    host.closedUntilMs = clock.monotonic() + pauseMs;
  }

  function settle(origin: string, outcome: HostOutcome): void {
    if (outcome === "unknown") return;
    if (outcome === "answered") return void hosts.delete(origin);
    const host = hosts.get(origin) ?? { failures: 0, silences: 0, closedUntilMs: 0, probing: false };
    if (hosts.size < limits.breakersMax) hosts.set(origin, host);
    host.silences += outcome === "silent" ? 1 : 0;
    const late = clock.monotonic() < host.closedUntilMs;
    if (!late && (outcome === "unreachable" || host.silences >= limits.breakerTimeoutsMin)) fail(host);
  }

  return {
    isClosed(origin) {
      const host = hosts.get(origin);
      return host !== undefined && (host.probing || host.closedUntilMs > clock.monotonic());
    },
    enter(origin) {
      const host = hosts.get(origin);
      if (!host || host.failures === 0) return (outcome) => settle(origin, outcome);
      const leftMs = host.closedUntilMs - clock.monotonic();
      if (leftMs > 0) return leftMs;
      if (host.probing) return limits.breakerMs;
      host.probing = true;
      return (outcome) => {
        host.probing = false;
        if (outcome === "silent") host.silences = limits.breakerTimeoutsMin;
        settle(origin, outcome);
      };
    },
  };
}
