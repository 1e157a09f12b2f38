import { lookUp, PullringError, route, type Cache, type Repository, type UpstreamNames } from "@pullring/core";
import { parseTarget, type Target } from "@pullring/oci";

import { serveBlob } from "./blob-handler.ts";
import { answerTo, Refusal, type Fallback } from "./errors.ts";
import type { Client, Exchange } from "./exchange.ts";
import { serveReferrers, serveTags } from "./list-handlers.ts";
import { serveManifest } from "./manifest-handler.ts";
import type { Responder } from "./respond.ts";

/** Who may come in, and to which repository. */
export interface Doorkeeper {
  /** Throws Refusal. */
  identify(exchange: Exchange): Promise<Client> | Client;
  mayPull(client: Client, repository: Repository): boolean;
}

export interface RegistryDeps {
  readonly cache: Cache;
  readonly names: UpstreamNames;
  readonly doorkeeper: Doorkeeper;
  readonly responder: Responder;
  readonly fallback: Fallback;
}

type Named = Extract<Target, { path: string }>;
export type Of<K extends Named["kind"]> = Extract<Named, { kind: K }>;

/** A request that names a repository. */
export interface Ask<T extends Named = Named> {
  readonly exchange: Exchange;
  readonly target: T;
  readonly repository: Repository;
}

/**
 * The registry face: GET and HEAD under /v2/, everything else refused. Never rejects: whatever happens becomes an answer, or
 * a cut connection when the status line is out.
 */
export async function serveRegistry(deps: RegistryDeps, exchange: Exchange): Promise<void> {
  try {
    await serve(deps, exchange);
  } catch (error) {
    exchange.error = error;
    const told = answerTo(error, exchange.route, deps.fallback);
    deps.responder.sendError(exchange, told);
  }
}

async function serve(deps: RegistryDeps, exchange: Exchange): Promise<void> {
  exchange.client = await deps.doorkeeper.identify(exchange);
  const { method } = exchange.request;
  if (method !== "GET" && method !== "HEAD") throw new Refusal("method", "a cache takes GET and HEAD only");
  const target = parseTarget(exchange.target);
  if (!target) throw new Refusal("path", "there is nothing outside /v2/");
  if (target.kind === "unsupported") throw new Refusal("method", "a cache does not serve this");
  exchange.route = target.kind;
  if (target.kind === "ping") return ping(deps, exchange, target.prefix);
  exchange.reference = target.kind === "manifest" ? target.reference : target.kind === "tags" ? "" : target.digest;
  const repository = route(target, deps.names);
  exchange.repository = repository;
  if (!deps.doorkeeper.mayPull(exchange.client, repository)) throw new PullringError("denied", "not found");
  return serveRepository(deps, { exchange, target, repository });
}

function serveRepository(deps: RegistryDeps, ask: Ask): Promise<void> {
  const { exchange, repository, target } = ask;
  if (target.kind === "manifest") return serveManifest(deps, { exchange, repository, target });
  if (target.kind === "blob") return serveBlob(deps, { exchange, repository, target });
  if (target.kind === "tags") return serveTags(deps, { exchange, repository, target });
  return serveReferrers(deps, { exchange, repository, target });
}

function ping({ names, responder }: RegistryDeps, exchange: Exchange, prefix: string | undefined): void {
  if (prefix !== undefined) lookUp(prefix, names);
  exchange.outcome = "ok";
  const headers = { "content-type": "application/json" };
  responder.sendBytes(exchange, { status: 200, headers, bytes: Buffer.from("{}") });
}
