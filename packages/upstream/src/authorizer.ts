import { abortable } from "./abortable.ts";
import { parseChallenges } from "./challenge.ts";
import { makeCollector } from "./collector.ts";
import { headerOf } from "./headers.ts";
import { limits } from "./limits.ts";
import type { ErrorOf } from "./refusals.ts";
import type { AccountLane } from "./lanes.ts";
import type { Login, Logins } from "./logins.ts";
import type { BearerScheme } from "./realm.ts";
import type { Answer } from "./redirects.ts";
import type { Send } from "./sender.ts";
import type { Tokens } from "./tokens.ts";

type Scheme = { readonly kind: "none" } | { readonly kind: "basic" } | BearerScheme;

/** Who asks, and for what. */
export interface Asker {
  readonly lane: AccountLane;
  /** Name of the repository. */
  readonly repository: string;
  readonly signal?: AbortSignal | undefined;
}

/** What to send along, and where it came from. */
export interface Grant {
  readonly scheme: Scheme;
  readonly authorization?: string;
  readonly login?: Login | undefined;
  /** Just fetched: a 401 to it means that it does not suffice. */
  readonly fresh?: boolean;
  readonly drop?: () => void;
}

/** Remembers how an upstream wants to be asked, so that requests bring their token at once. */
export interface Authorizer {
  grant(asker: Asker): Promise<Grant>;
  /** After a 401 from the registry itself; undefined when there is nothing better to show. */
  regrant(asker: Asker, refused: { readonly answer: Answer; readonly grant: Grant }): Promise<Grant | undefined>;
}

export interface AuthorizerOptions {
  readonly pingUrl: URL;
  readonly send: Send;
  readonly logins: Logins;
  readonly tokens: Tokens;
  readonly errorOf: ErrorOf;
}

const none: Scheme = { kind: "none" };

export function makeAuthorizer({ pingUrl, send, logins, tokens, errorOf }: AuthorizerOptions): Authorizer {
  let known: Scheme | undefined;
  let pinging: Promise<Scheme> | undefined;

  /** `/v2/` says how to log in, also where the answers about resources don't (gcr.io); asking it costs no counted request. */
  async function ping(lane: AccountLane): Promise<Scheme> {
    const request = { url: pingUrl, method: "GET", headers: {}, bulk: false, follow: false } as const;
    const body = makeCollector(limits.errorBytesMax, () => {});
    const answer = await send({ kind: "ping", lane, request }, () => body);
    if (answer.status === 429) throw errorOf({ answer, body: body.bytes(), kind: "ping", lane });
    const scheme = (answer.status === 401 ? schemeOf(answer) : undefined) ?? none;
    // A failing registry has not said that it wants no login.
    if (answer.status < 500) known = scheme;
    return scheme;
  }

  const pinged = ({ lane, signal }: Asker): Promise<Scheme> => {
    pinging ??= ping(lane).finally(() => (pinging = undefined));
    return abortable(pinging, signal);
  };

  async function grantBy(scheme: Scheme, { lane, repository, signal }: Asker): Promise<Grant> {
    if (scheme.kind === "none") return { scheme };
    const login = await logins.open(lane);
    if (scheme.kind === "basic") return { scheme, login, ...(login ? { authorization: login.basic } : {}) };
    const order = { lane, login, scheme, scope: scheme.scope ?? `repository:${repository}:pull` };
    const { text, fresh } = await abortable(tokens.get(order), signal);
    return { scheme, authorization: `Bearer ${text}`, fresh, drop: () => tokens.drop(order, text) };
  }

  return {
    grant: async (asker) => grantBy(known ?? (await pinged(asker)), asker),

    async regrant(asker, { answer, grant }) {
      const scheme = schemeOf(answer) ?? (await pinged(asker));
      if (scheme.kind === "none") return undefined;
      if (isSame(scheme, grant.scheme)) {
        if (scheme.kind === "basic" && grant.login && !logins.isProven(grant.login)) throw logins.refuse(grant.login);
        if (scheme.kind === "basic" || grant.fresh || saysInsufficient(answer)) return undefined;
        grant.drop?.();
      }
      known = scheme;
      return grantBy(scheme, asker);
    },
  };
}

/** The way to log in that a 401 names: Bearer before Basic. */
function schemeOf(answer: Answer): Scheme | undefined {
  const challenges = parseChallenges(headerOf(answer.headers, "www-authenticate") ?? "");
  const bearer = challenges.find(({ scheme, params }) => scheme === "bearer" && params.has("realm"));
  if (!bearer) return challenges.some(({ scheme }) => scheme === "basic") ? { kind: "basic" } : undefined;
  const scope = bearer.params.get("scope");
  return {
    kind: "bearer",
    realm: withoutScope(bearer.params.get("realm") ?? ""),
    service: bearer.params.get("service"),
    // About a repository we know better: what stands there may be a placeholder (ghcr.io), or ask to push as well.
    scope: scope === "" || scope?.startsWith("repository:") ? undefined : scope,
  };
}

/** nvcr.io's realm names the repository: without it, it is the same realm for all of them. */
function withoutScope(realm: string): string {
  if (!URL.canParse(realm)) return realm;
  const url = new URL(realm);
  if (!url.searchParams.get("scope")?.startsWith("repository:")) return realm;
  url.searchParams.delete("scope");
  return url.href;
}

const saysInsufficient = (answer: Answer): boolean =>
  parseChallenges(headerOf(answer.headers, "www-authenticate") ?? "").some(
    ({ params }) => params.get("error") === "insufficient_scope",
  );

function isSame(a: Scheme, b: Scheme): boolean {
  if (a.kind !== "bearer" || b.kind !== "bearer") return a.kind === b.kind;
  return a.realm === b.realm && a.service === b.service && a.scope === b.scope;
}
