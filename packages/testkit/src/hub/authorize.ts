import type { HubAccount } from "./knobs.ts";
import { errorReply, type Exchange, type Reply } from "./reply.ts";
import type { HubState } from "./state.ts";
import { basicCredentials, mayPull, openToken } from "./tokens.ts";

type Problem = "invalid_token" | "insufficient_scope" | undefined;

/** A pass, with the account it was given to, or the answer that refuses. */
export type Admission = { readonly account: HubAccount | undefined } | { readonly refusal: Reply };

const quoted = (fields: Record<string, string | undefined>): string =>
  Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}="${value}"`)
    .join(",");

function scopeIn(knobs: HubState["knobs"], repository: string | undefined): string | undefined {
  if (repository === undefined) return knobs.pingScope;
  if (knobs.challengeScope === "exact") return `repository:${repository}:pull`;
  return knobs.challengeScope === "absent" ? undefined : knobs.challengeScope;
}

function challenge({ knobs, origins }: HubState, repository: string | undefined, problem: Problem): string {
  if (knobs.auth === "basic") return `Basic realm="${knobs.realm ?? "registry"}"`;
  const query = knobs.realmQuery === undefined ? "" : `?${knobs.realmQuery.replace("<repository>", repository ?? "")}`;
  const realm = knobs.realm ?? `${origins.token}/token${query}`;
  const scope = scopeIn(knobs, repository);
  return `Bearer ${quoted({ realm, service: knobs.service, scope, error: problem })}`;
}

function unauthorized(state: HubState, exchange: Exchange, problem: Problem): Reply {
  const { repository, remoteAddress } = exchange.entry;
  const isChallenged = repository === undefined || state.knobs.challengeOnResource;
  const { source } = state.quota.payer(undefined, remoteAddress);
  return errorReply({
    status: 401,
    code: "UNAUTHORIZED",
    message: "authentication required",
    detail: repository === undefined ? null : [{ Type: "repository", Class: "", Name: repository, Action: "pull" }],
    headers: {
      ...(isChallenged ? { "www-authenticate": challenge(state, repository, problem) } : {}),
      "docker-ratelimit-source": source,
    },
  });
}

function missing(state: HubState, exchange: Exchange): Reply {
  const status = state.knobs.missingRepositoryStatus;
  if (status === 401) return unauthorized(state, exchange, "insufficient_scope");
  return status === 403
    ? errorReply({ status, code: "DENIED", message: "requested access to the resource is denied" })
    : errorReply({ status, code: "NAME_UNKNOWN", message: "repository name not known to registry" });
}

function admitBearer(state: HubState, exchange: Exchange): Admission {
  const { request, entry } = exchange;
  const token = /^bearer\s+(.+)$/i.exec(request.headers.authorization ?? "")?.[1];
  if (token === undefined) return { refusal: unauthorized(state, exchange, undefined) };
  const opened = openToken(state, token);
  if (opened === undefined) return { refusal: unauthorized(state, exchange, "invalid_token") };
  const { repository } = entry;
  const isNamed = opened.access.some(({ name, actions }) => name === repository && actions.includes("pull"));
  const isGranted = isNamed || !state.knobs.tokenRepositoryBound;
  if (repository !== undefined && !isGranted) return { refusal: missing(state, exchange) };
  return { account: opened.account };
}

function admitBasic(state: HubState, exchange: Exchange): Admission {
  const credentials = basicCredentials(exchange.request.headers.authorization);
  const account = state.knobs.accounts.find(
    ({ username, password }) => username === credentials?.username && password === credentials.password,
  );
  return account === undefined ? { refusal: unauthorized(state, exchange, undefined) } : { account };
}

/** Decides on a request to the registry from what it carries, as the `auth` knob says. */
export function admit(state: HubState, exchange: Exchange): Admission {
  const { knobs } = state;
  const admitters = { bearer: admitBearer, basic: admitBasic, none: () => ({ account: undefined }) };
  const admission: Admission = admitters[knobs.auth](state, exchange);
  if ("refusal" in admission) return admission;
  const { repository } = exchange.entry;
  if (repository === undefined) return admission;
  if (knobs.insufficientScope.includes(repository)) {
    return { refusal: unauthorized(state, exchange, "insufficient_scope") };
  }
  return mayPull(state, admission.account, repository) ? admission : { refusal: missing(state, exchange) };
}
