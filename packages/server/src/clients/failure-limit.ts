import type { Clock } from "@pullring/core";

export interface FailureLimitOptions {
  readonly clock: Clock;
  readonly failuresMax: number;
  readonly windowMs: number;
  /** Clients remembered; the one whose window began first is forgotten first. */
  readonly clientsMax: number;
}

export interface FailureLimit {
  /** Seconds to wait when the client has used up its failures; else 0, and each attempt takes one until it is given back. */
  take(address: string): number;
  /** The attempt was none of the failures. */
  giveBack(address: string): void;
}

interface Window {
  failures: number;
  readonly until: number;
}

/**
 * Counts failures per client in windows that begin with the first one. Attempts count while they run, so that many at once are
 * no way around. A client with an IPv6 address has at least the 64 bits after its network to itself, so the network counts.
 */
export function makeFailureLimit({ clock, failuresMax, windowMs, clientsMax }: FailureLimitOptions): FailureLimit {
  const windows = new Map<string, Window>();

  function open(client: string): Window {
    const now = clock.monotonic();
    const known = windows.get(client);
    if (known && known.until > now) return known;
    windows.delete(client);
    const oldest = windows.size >= clientsMax ? windows.keys().next() : undefined;
    if (oldest && !oldest.done) windows.delete(oldest.value);
    const window = { failures: 0, until: now + windowMs };
    windows.set(client, window);
    return window;
  }

  return {
    take(address) {
      const window = open(networkOf(address));
      if (window.failures >= failuresMax) return Math.ceil((window.until - clock.monotonic()) / 1000);
      window.failures += 1;
      return 0;
    },
    giveBack(address) {
      const client = networkOf(address);
      const window = windows.get(client);
      if (!window) return;
      window.failures -= 1;
      if (window.failures <= 0) windows.delete(client);
    },
  };
}

/** The /64 of an IPv6 address in the form of `parseAddress`; other texts as they are. */
function networkOf(address: string): string {
  if (!address.includes(":")) return address;
  const [head = "", tail] = address.split("::");
  const before = head.split(":").filter((group) => group !== "");
  const after = (tail ?? "").split(":").filter((group) => group !== "");
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => "0");
  return [...before, ...zeros, ...after].slice(0, 4).join(":");
}
