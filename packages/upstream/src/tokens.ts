import { PullringError, type Clock } from "@pullring/core";

import type { CoolDowns } from "./cool-downs.ts";
import { limits } from "./limits.ts";
import { retrying, type Retry } from "./retry.ts";
import { coolDownKey } from "./sender.ts";
import type { HeldToken, TokenOrder, TokenServer } from "./token-server.ts";
import { WireError } from "./wire-error.ts";

interface Token {
  readonly text: string;
  /** Whether it was fetched for this order, so that another one would be no better. */
  readonly fresh: boolean;
}

/** Tokens by (account, token server, scope); one fetch for everybody who needs the same. */
export interface Tokens {
  get(order: TokenOrder): Promise<Token>;
  /** Forgets a token that upstream did not take. */
  drop(order: TokenOrder, text: string): void;
}

export interface TokensOptions {
  readonly server: TokenServer;
  readonly coolDowns: CoolDowns;
  readonly clock: Clock;
  readonly retry: Retry;
}

export function makeTokens({ server, coolDowns, clock, retry }: TokensOptions): Tokens {
  const held = new Map<string, HeldToken>();
  const flights = new Map<string, Promise<HeldToken>>();

  const keyOf = ({ lane, scheme, scope }: TokenOrder): string => `${lane.name} ${server.urlOf(scheme, scope).href}`;

  function keep(key: string, token: HeldToken): void {
    held.delete(key);
    held.set(key, token);
    const oldest = held.size > limits.tokensMax ? held.keys().next().value : undefined;
    if (oldest !== undefined) held.delete(oldest);
  }

  async function fetch(key: string, order: TokenOrder): Promise<HeldToken> {
    try {
      const token = await retrying(retry, () => server.fetch(order));
      keep(key, token);
      return token;
    } catch (error) {
      // Three tries have failed: others who need a token don't try all the same at once. A server that can't be reached is not dialled as it is.
      if (error instanceof PullringError && error.cause instanceof WireError && error.cause.fault !== "unreachable")
        coolDowns.begin(coolDownKey(order.lane, "token"), limits.tokenPauseSec, "unavailable");
      throw error;
    } finally {
      flights.delete(key);
    }
  }

  return {
    async get(order) {
      const key = keyOf(order);
      const known = held.get(key);
      const nowMs = clock.monotonic();
      if (known && nowMs < known.refreshMs) return { text: known.text, fresh: false };
      const flight = flights.get(key) ?? fetch(key, order);
      flights.set(key, flight);
      try {
        return { text: (await flight).text, fresh: true };
      } catch (error) {
        const isRefusal = error instanceof PullringError && error.reason === "refused";
        // The new one was asked for early: the old one is still good.
        if (known && nowMs < known.endMs && !isRefusal) return { text: known.text, fresh: false };
        throw error;
      }
    },
    drop(order, text) {
      const key = keyOf(order);
      if (held.get(key)?.text === text) held.delete(key);
    },
  };
}
