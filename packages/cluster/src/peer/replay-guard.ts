import type { Clock } from "@pullring/core";

import type { RequestFacts } from "./facts.ts";

export interface ReplayGuardOptions {
  readonly clock: Pick<Clock, "monotonic">;
  /** Names this start of the receiver. */
  readonly boot: string;
  /** How far a request's time may be off. */
  readonly windowMs: number;
  readonly noncesMax: number;
}

/**
 * Lets each request in once. Time is the receiver's own, monotonic and per start: it tells it in every answer and the sender gives it
 * back, so that no two clocks have to agree. A request with another start or a time outside the window is answered by this time only
 * (`clock`), and its sender asks again; within the window nonces are remembered, so nothing that was recorded is ever let in again.
 */
export interface ReplayGuard {
  readonly boot: string;
  timeMs(): number;
  admit(facts: Pick<RequestFacts, "boot" | "timeMs" | "nonce">): "admitted" | "clock" | "replayed" | "crowded";
}

export function makeReplayGuard({ clock, boot, windowMs, noncesMax }: ReplayGuardOptions): ReplayGuard {
  // A nonce must outlast every time that is still accepted with it: from one window before now to one after.
  const spanMs = 2 * windowMs;
  let young = new Set<string>();
  let old = new Set<string>();
  let turnAtMs = clock.monotonic() + spanMs;

  function turn(nowMs: number): void {
    if (nowMs < turnAtMs) return;
    old = nowMs < turnAtMs + spanMs ? young : new Set();
    young = new Set();
    turnAtMs = nowMs + spanMs;
  }

  const timeMs = (): number => Math.round(clock.monotonic());

  return {
    boot,
    timeMs,
    admit(facts) {
      const nowMs = timeMs();
      if (facts.boot !== boot || Math.abs(facts.timeMs - nowMs) > windowMs) return "clock";
      turn(nowMs);
      if (young.has(facts.nonce) || old.has(facts.nonce)) return "replayed";
      // Only who has the secret comes so far. To forget one would be to let it in again.
      if (young.size >= noncesMax) return "crowded";
      young.add(facts.nonce);
      return "admitted";
    },
  };
}
