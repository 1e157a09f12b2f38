import type { IncomingMessage } from "node:http";
import { textBytes } from "./bytes.ts";
import type { HubAccount } from "./knobs.ts";
import { type Exchange, jsonReply, type Reply } from "./reply.ts";
import type { HubState } from "./state.ts";
import { basicCredentials, grantOf, issueToken } from "./tokens.ts";

const formBytesMax = 64 * 1024;

interface TokenRequest {
  readonly scopes: readonly string[];
  readonly credentials: { username: string; password: string } | undefined;
  readonly refreshToken: string | undefined;
  readonly wantsRefreshToken: boolean;
}

async function readForm(request: IncomingMessage): Promise<URLSearchParams> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size <= formBytesMax) chunks.push(chunk);
  }
  return new URLSearchParams(Buffer.concat(chunks).toString());
}

const scopesIn = (params: URLSearchParams): string[] =>
  params.getAll("scope").flatMap((scope) => scope.split(" ").filter((text) => text !== ""));

function fromQuery({ query, request }: Exchange): TokenRequest {
  return {
    scopes: scopesIn(query),
    credentials: basicCredentials(request.headers.authorization),
    refreshToken: undefined,
    wantsRefreshToken: query.get("offline_token") === "true",
  };
}

async function fromForm({ request }: Exchange): Promise<TokenRequest> {
  const form = await readForm(request);
  const isPassword = form.get("grant_type") === "password";
  return {
    scopes: scopesIn(form),
    credentials: isPassword
      ? { username: form.get("username") ?? "", password: form.get("password") ?? "" }
      : undefined,
    refreshToken: form.get("refresh_token") ?? undefined,
    wantsRefreshToken: form.get("access_type") === "offline",
  };
}

const unauthorized = (): Reply => jsonReply(401, { details: "incorrect username or password" });
const refusal = (status: number): Reply =>
  jsonReply(status, { errors: [{ code: status === 403 ? "DENIED" : "UNAUTHORIZED", message: "refused" }] });

/** Passwords, and the lock that follows too many wrong ones. */
function makeLogins({ knobs, now }: HubState) {
  const failures = new Map<string, { count: number; lockedUntil: number }>();

  return (username: string, password: string): HubAccount | Reply => {
    const record = failures.get(username) ?? { count: 0, lockedUntil: 0 };
    if (now() < record.lockedUntil) {
      const text = "too many failed login attempts for username or IP address";
      return { status: 429, headers: { "content-type": "text/plain" }, body: textBytes(text) };
    }
    const account = knobs.accounts.find((known) => known.username === username && known.password === password);
    if (account !== undefined) {
      failures.delete(username);
      return account;
    }
    const count = record.count + 1;
    const isLocked = count >= knobs.loginFailuresMax;
    failures.set(
      username,
      isLocked ? { count: 0, lockedUntil: now() + knobs.lockSec * 1000 } : { count, lockedUntil: 0 },
    );
    return unauthorized();
  };
}

/** `GET|POST` of any path: realms differ between registries. */
export function makeTokenOrigin(state: HubState) {
  const { knobs } = state;
  const login = makeLogins(state);
  const refreshTokens = new Map<string, string>();

  function accountFor({ credentials, refreshToken }: TokenRequest): HubAccount | undefined | Reply {
    if (refreshToken !== undefined) {
      const username = refreshTokens.get(refreshToken);
      return knobs.accounts.find((account) => account.username === username) ?? unauthorized();
    }
    return credentials === undefined ? undefined : login(credentials.username, credentials.password);
  }

  function refused({ scopes }: TokenRequest, account: HubAccount | undefined): Reply | undefined {
    if (knobs.tokenNeedsScope && scopes.length === 0) return refusal(400);
    const wantsPush = scopes.some((scope) => /[:,]push(,|$)/.test(scope));
    if (knobs.tokenRefusesPush && account === undefined && wantsPush) return refusal(403);
    if (knobs.tokenDeniedStatus === undefined) return undefined;
    const isDenied = scopes.some((scope) => grantOf(state, account, scope).actions.length === 0);
    return isDenied ? refusal(knobs.tokenDeniedStatus) : undefined;
  }

  function granted({ scopes, wantsRefreshToken }: TokenRequest, account: HubAccount | undefined): Reply {
    const access = scopes.map((scope) => grantOf(state, account, scope));
    const token = issueToken(state, account, access);
    const answer: Record<string, unknown> = {};
    if (knobs.tokenField !== "access_token") answer["token"] = token;
    if (knobs.tokenField !== "token") answer["access_token"] = token;
    if (knobs.tokenExpiresIn) answer["expires_in"] = knobs.tokenLifetimeSec;
    if (knobs.tokenIssuedAt) answer["issued_at"] = new Date(state.now()).toISOString();
    if (wantsRefreshToken && account !== undefined) {
      const refreshToken = `refresh-${refreshTokens.size}-${token.slice(-16)}`;
      refreshTokens.set(refreshToken, account.username);
      answer["refresh_token"] = refreshToken;
    }
    return jsonReply(200, answer);
  }

  return async function answer(exchange: Exchange): Promise<Reply> {
    const { request, entry } = exchange;
    if (knobs.tokenStatus !== undefined) return refusal(knobs.tokenStatus);
    const isPost = request.method === "POST";
    if (isPost && knobs.tokenPostStatus !== undefined) return refusal(knobs.tokenPostStatus);
    if (!isPost && request.method !== "GET") return refusal(405);
    const asked = isPost ? await fromForm(exchange) : fromQuery(exchange);
    const account = accountFor(asked);
    if (account !== undefined && "status" in account) return account;
    entry.account = account?.username;
    return refused(asked, account) ?? granted(asked, account);
  };
}
