import { createHmac } from "node:crypto";
import { accountId, accountLimit } from "./quota.ts";
import type { HubAccount } from "./knobs.ts";
import type { HubState } from "./state.ts";

export interface Grant {
  readonly type: string;
  readonly name: string;
  readonly actions: readonly string[];
  readonly parameters?: Readonly<Record<string, string>>;
}

interface Claims {
  readonly access: readonly Grant[];
  readonly exp: number;
  readonly sub: string;
}

export interface OpenedToken {
  readonly access: readonly Grant[];
  readonly account: HubAccount | undefined;
}

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
const sign = (text: string, secret: string): string => createHmac("sha256", secret).update(text).digest("base64url");

/** Whether this account, or nobody in particular, may pull from a repository. */
export function mayPull(state: HubState, account: HubAccount | undefined, repository: string): boolean {
  const found = state.content.find(repository);
  if (found === undefined) return false;
  if (!found.private) return true;
  return (account?.repositories ?? []).some((pattern) =>
    pattern.endsWith("/**") ? repository.startsWith(pattern.slice(0, -2)) : pattern === repository,
  );
}

/** What a scope text gets: fewer actions than asked is no error, it is an empty list. */
export function grantOf(state: HubState, account: HubAccount | undefined, scope: string): Grant {
  const [, type = "", name = "", actions = ""] = /^([^:]*):(.*):([^:]*)$/.exec(scope) ?? ["", scope];
  const granted = type === "repository" && mayPull(state, account, name) && actions.split(",").includes("pull");
  const limit = account === undefined ? state.knobs.anonymousLimit : accountLimit(account);
  const windowSec = account === undefined ? state.knobs.anonymousWindowSec : (account.windowSec ?? 21_600);
  const parameters = limit === undefined ? {} : { pull_limit: `${limit}`, pull_limit_interval: `${windowSec}` };
  return { type, name, actions: granted ? ["pull"] : [], parameters };
}

/** A JWT with the claims that Docker Hub's have. */
export function issueToken(state: HubState, account: HubAccount | undefined, access: readonly Grant[]): string {
  const iat = Math.floor(state.now() / 1000);
  const claims = {
    access,
    aud: state.knobs.service ?? "",
    exp: iat + state.knobs.tokenLifetimeSec,
    iat,
    iss: new URL(state.origins.token).host,
    jti: `dckr_jti_${sign(`${iat}${JSON.stringify(access)}`, state.secret).slice(0, 20)}`,
    nbf: iat - 300,
    sub: account === undefined ? "" : accountId(account.username),
  };
  const text = `${encode({ alg: "HS256", typ: "JWT" })}.${encode(claims)}`;
  return `${text}.${sign(text, state.secret)}`;
}

/** undefined = not from here, or expired. */
export function openToken(state: HubState, token: string): OpenedToken | undefined {
  const [header = "", payload = "", signature] = token.split(".");
  if (signature !== sign(`${header}.${payload}`, state.secret)) return undefined;
  const claims = JSON.parse(Buffer.from(payload, "base64url").toString()) as Claims;
  if (state.now() >= claims.exp * 1000) return undefined;
  return {
    access: claims.access,
    account: state.knobs.accounts.find(({ username }) => accountId(username) === claims.sub),
  };
}

export function basicCredentials(header: string | undefined): { username: string; password: string } | undefined {
  const encoded = /^basic\s+(.+)$/i.exec(header ?? "")?.[1];
  if (encoded === undefined) return undefined;
  const text = Buffer.from(encoded, "base64").toString();
  const colon = text.indexOf(":");
  return { username: text.slice(0, Math.max(0, colon)), password: text.slice(colon + 1) };
}
