import type { Account, Upstream } from "../config/index.ts";
import { ask, type Answer } from "./ask.ts";

/** How a registry answers its first questions, for one account or nobody. */
export interface RegistryProbe {
  readonly ping: Answer;
  /** The origin that the challenge names, where it names one. */
  readonly realmOrigin?: string;
  /** Absent where no token is wanted, or where it would have to come from an origin that may not be asked. */
  readonly token?: Answer;
  /** For what was asked with the token, or with the login itself. */
  readonly authorization?: string;
}

export interface ProbeOptions {
  readonly upstream: Upstream;
  readonly account?: Pick<Account, "username" | "password"> | undefined;
  /** What a token is asked for; absent = none in particular. */
  readonly scope?: string;
  readonly ca?: string | undefined;
}

export const registryUrl = ({ url }: Upstream, path: string): URL =>
  new URL(`${url.origin}${url.pathname.replace(/\/+$/, "")}/v2/${path}`);

const parameter = (challenge: string, name: string): string | undefined =>
  new RegExp(`\\b${name}="([^"]*)"`, "i").exec(challenge)?.[1];

/** `/v2/`, then a token where the answer asks for one. Costs nothing that is counted. */
export async function probeRegistry({ upstream, account, scope, ca }: ProbeOptions): Promise<RegistryProbe> {
  const ping = await ask(registryUrl(upstream, ""), { ca });
  const challenge = ping.status === 401 ? (ping.headers["www-authenticate"] ?? "") : "";
  const login = account && `Basic ${Buffer.from(`${account.username}:${account.password.read()}`).toString("base64")}`;
  const realm = /^bearer\b/i.test(challenge) ? URL.parse(parameter(challenge, "realm") ?? "") : null;
  if (!realm) {
    if (!login || !/^basic\b/i.test(challenge)) return { ping };
    return {
      ping: await ask(registryUrl(upstream, ""), { ca, headers: { authorization: login } }),
      authorization: login,
    };
  }
  const realmOrigin = realm.origin;
  if (realmOrigin !== upstream.url.origin && !upstream.tokenOrigins.includes(realmOrigin)) return { ping, realmOrigin };
  const service = parameter(challenge, "service");
  if (service !== undefined) realm.searchParams.set("service", service);
  if (scope !== undefined) realm.searchParams.set("scope", scope);
  const token = await ask(realm, { ca, headers: login === undefined ? {} : { authorization: login } });
  const text = tokenIn(token);
  return { ping, realmOrigin, token, ...(text === undefined ? {} : { authorization: `Bearer ${text}` }) };
}

/** Under either name (distribution token specification). */
function tokenIn({ status, body }: Answer): string | undefined {
  if (status !== 200) return undefined;
  try {
    const { token, access_token: other } = JSON.parse(body) as { token?: unknown; access_token?: unknown };
    return [token, other].find((text) => typeof text === "string");
  } catch {
    return undefined;
  }
}
