import { PullringError } from "@pullring/core";

import type { UpstreamConfig } from "./config.ts";

/** How to get a token, by a Bearer challenge (distribution token spec). */
export interface BearerScheme {
  readonly kind: "bearer";
  readonly realm: string;
  readonly service?: string | undefined;
  /** Only where it is not about a repository: ghcr.io's is a placeholder, ECR Public's is `aws`. */
  readonly scope?: string | undefined;
}

/**
 * The address to ask for a token. A challenge may choose among the hosts that the operator named, never bring in another: not with
 * credentials, and not without. Throws `unavailable`.
 */
export function tokenUrl(scheme: BearerScheme, scope: string | undefined, upstream: UpstreamConfig): URL {
  const refuse = (why: string): never => {
    throw new PullringError("unavailable", `${upstream.name} sends us for a token to ${why}`, { reason: "refused" });
  };
  if (!URL.canParse(scheme.realm)) return refuse("what is no address");
  const url = new URL(scheme.realm);
  url.hash = "";
  if (url.username || url.password) return refuse("an address with credentials");
  if (url.protocol !== "https:" && upstream.url.protocol === "https:") return refuse("an address without TLS");
  const allowed = [upstream.url.origin, ...upstream.tokenOrigins.map((origin) => new URL(origin).origin)];
  if (!allowed.includes(url.origin)) return refuse(`${url.host}, which is none of its token origins`);
  // The realm may have a query of its own (nvcr.io), with a scope that ours replaces.
  if (scheme.service !== undefined) url.searchParams.set("service", scheme.service);
  if (scope === undefined) url.searchParams.delete("scope");
  else url.searchParams.set("scope", scope);
  return url;
}
