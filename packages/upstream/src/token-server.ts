import { PullringError, type Clock } from "@pullring/core";

import { makeCollector } from "./collector.ts";
import type { Log, UpstreamConfig } from "./config.ts";
import { makeFirstLogin } from "./first-login.ts";
import type { AccountLane } from "./lanes.ts";
import { limits } from "./limits.ts";
import type { Login, Logins } from "./logins.ts";
import { tokenUrl, type BearerScheme } from "./realm.ts";
import type { Answer } from "./redirects.ts";
import type { ErrorOf } from "./refusals.ts";
import type { Send } from "./sender.ts";

export interface TokenOrder {
  readonly lane: AccountLane;
  readonly login: Login | undefined;
  readonly scheme: BearerScheme;
  readonly scope: string;
}

/** A token and its life, in monotonic ms from when it was asked for: upstream's clock does not count. */
export interface HeldToken {
  readonly text: string;
  readonly refreshMs: number;
  readonly endMs: number;
}

/** One end of the token protocol (distribution token spec). */
export interface TokenServer {
  /** Throws `unavailable`, and logs, when the challenge names a server that may not be asked. */
  urlOf(scheme: BearerScheme, scope: string | undefined): URL;
  /** One try. Rejects with `missing` when the repository is not there for this lane. */
  fetch(order: TokenOrder): Promise<HeldToken>;
}

export interface TokenServerOptions {
  readonly upstream: UpstreamConfig;
  readonly send: Send;
  readonly logins: Logins;
  readonly errorOf: ErrorOf;
  readonly clock: Clock;
  readonly log: Log;
}

interface TokenAnswer {
  readonly answer: Answer;
  readonly body: Buffer;
}

export function makeTokenServer(options: TokenServerOptions): TokenServer {
  const { upstream, send, logins, clock, log, errorOf } = options;
  const inTurn = makeFirstLogin(logins);

  function urlOf(scheme: BearerScheme, scope: string | undefined): URL {
    try {
      return tokenUrl(scheme, scope, upstream);
    } catch (error) {
      log.error({ upstream: upstream.name, why: (error as Error).message }, "refused to ask for a token");
      throw error;
    }
  }

  async function ask(url: URL, { lane, login }: TokenOrder): Promise<TokenAnswer> {
    const body = makeCollector(limits.tokenBytesMax, () => {
      throw new PullringError("unavailable", `${url.host} sends too long an answer for a token`);
    });
    // A redirect is not followed: it could lead the credentials to where no token is made.
    const request = {
      url,
      method: "GET",
      headers: {},
      bulk: false,
      follow: false,
      authorization: login?.basic,
    } as const;
    const answer = await send({ kind: "token", lane, request }, () => body);
    return { answer, body: body.bytes() };
  }

  /**
   * Some token servers say 403 for a repository that is not there or not for us (ghcr.io), which must not bench an account: unless its
   * credentials are known to be good, asking without a repository tells.
   */
  async function denied(order: TokenOrder, status: number): Promise<PullringError> {
    const { login, lane, scheme } = order;
    const why = `${upstream.name} gives ${lane.name} no token for this repository`;
    const missing = new PullringError("missing", why, { reason: "refused" });
    if (!login || logins.isProven(login)) return missing;
    if (status === 403 && (await ask(urlOf(scheme, undefined), order)).answer.status === 200) {
      logins.accept(login);
      return missing;
    }
    return logins.refuse(login);
  }

  /** What a registry's 404 means for a repository, a token server's does not. */
  function failed({ answer, body }: TokenAnswer, lane: AccountLane): PullringError {
    const { status, url } = answer;
    if (status === 429 || status >= 500) return errorOf({ answer, body, kind: "token", lane });
    return new PullringError("unavailable", `${url.host} answers ${status} when asked for a token`);
  }

  async function fetch(order: TokenOrder): Promise<HeldToken> {
    const askedMs = clock.monotonic();
    const answer = await ask(urlOf(order.scheme, order.scope), order);
    const { status } = answer.answer;
    if (status === 401 || status === 403) throw await denied(order, status);
    if (status !== 200) throw failed(answer, order.lane);
    if (order.login) logins.accept(order.login);
    return readToken(answer, askedMs);
  }

  return { urlOf, fetch: (order) => inTurn(order, () => fetch(order)) };
}

function readToken({ answer: { url }, body }: TokenAnswer, askedMs: number): HeldToken {
  const answer = parseObject(body);
  const text = answer?.["token"] || answer?.["access_token"];
  if (typeof text !== "string" || !/^[\x21-\x7e]+$/.test(text))
    throw new PullringError("unavailable", `${url.host} answers without a token`);
  const expiresIn = Number(answer?.["expires_in"]);
  const lifeMs = Math.max(limits.tokenLifeSecMin, Number.isFinite(expiresIn) ? expiresIn : 0) * 1000;
  const refreshMs = askedMs + Math.min(lifeMs * limits.tokenLifeShare, lifeMs - limits.tokenEarlyMs);
  return { text, refreshMs, endMs: askedMs + lifeMs };
}

function parseObject(body: Buffer): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(body.toString());
    return typeof value === "object" && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}
