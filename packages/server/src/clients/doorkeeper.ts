import type { IncomingMessage } from "node:http";

import type { Repository } from "@pullring/core";

import { Refusal } from "../http/errors.ts";
import type { Client } from "../http/exchange.ts";
import type { Doorkeeper } from "../http/registry.ts";
import type { BasicAuth } from "./basic-auth.ts";
import type { Networks } from "./networks.ts";

export interface DoorkeeperOptions {
  readonly addressOf: (request: IncomingMessage) => string;
  readonly allowed: Networks;
  /** Absent = nobody is asked to log in. */
  readonly auth?: BasicAuth;
  readonly mayPull: (client: Client, repository: Repository) => boolean;
}

/** Admission in its order: network first, so that strangers cost no password check; then the login; then, per repository, the rules. */
export function makeDoorkeeper({ addressOf, allowed, auth, mayPull }: DoorkeeperOptions): Doorkeeper {
  async function logIn(auth: BasicAuth, request: IncomingMessage, address: string): Promise<Client> {
    const verdict = await auth.check(request.headers.authorization, address);
    if (verdict.kind === "user") return { address, user: verdict.name };
    if (verdict.kind === "refused") throw new Refusal("unauthorized", "log in with a name and password of this cache");
    throw new Refusal("too_many_failures", "too many failed logins from this address", verdict.retryAfterSec);
  }

  return {
    mayPull,
    identify(exchange) {
      const { request } = exchange;
      const address = addressOf(request);
      // Also of who is refused: the log of a refusal is of use only with the address of whoever knocks, not of the proxy.
      exchange.client = { address };
      if (!allowed.contains(address)) throw new Refusal("network", "this address may not pull here");
      return auth ? logIn(auth, request, address) : { address };
    },
  };
}
