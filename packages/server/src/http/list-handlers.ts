import type { List } from "@pullring/core";
import { mediaTypes } from "@pullring/oci";

import { askedTier, revalidate, servedHeaders } from "./cache-headers.ts";
import type { Exchange, Headers } from "./exchange.ts";
import type { Ask, Of, RegistryDeps } from "./registry.ts";

export async function serveTags({ cache, responder }: RegistryDeps, ask: Ask<Of<"tags">>): Promise<void> {
  const { exchange, target, repository } = ask;
  const page = pageOf(target.query);
  const list = await cache.lists.tags(repository, page.query);
  const { tags, next } = held(list, page.n);
  const headers = {
    ...listHeaders(exchange, ask, list),
    "content-type": "application/json",
    ...(next === undefined ? {} : { link: `<${linkTarget(exchange.target, target.ns, next)}>; rel="next"` }),
  };
  const bytes = Buffer.from(JSON.stringify({ name: target.path, tags }));
  responder.sendBytes(exchange, { status: 200, headers, bytes });
}

/** The index of referrers is filtered here, so that one record serves every artifactType. */
export async function serveReferrers({ cache, responder }: RegistryDeps, ask: Ask<Of<"referrers">>): Promise<void> {
  const { exchange, target, repository } = ask;
  const list = await cache.lists.referrers(repository, target.digest);
  const artifactType = target.query.get("artifactType");
  const all = Array.isArray(list.body["manifests"]) ? (list.body["manifests"] as unknown[]) : [];
  const manifests = artifactType === null ? all : all.filter((entry) => typeOf(entry) === artifactType);
  const headers = {
    ...listHeaders(exchange, ask, list),
    "content-type": mediaTypes.ociIndex,
    ...(artifactType === null ? {} : { "oci-filters-applied": "artifactType" }),
  };
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests }));
  responder.sendBytes(exchange, { status: 200, headers, bytes });
}

const listHeaders = (exchange: Exchange, { target }: Ask, list: List): Headers => ({
  ...servedHeaders(exchange, target, { ...list, tier: askedTier(list) }),
  "cache-control": revalidate,
});

const typeOf = (entry: unknown): unknown => (entry as { artifactType?: unknown } | null)?.artifactType;

/** Query parameters of a tag list that go upstream: the spec's, and page tokens that upstreams put into their own links. */
const pageParameters = ["n", "last", "next_page", "before", "after", "page_token"];
const pageParameterLengthMax = 512;

/** What goes upstream, and names the record: only what is known, in one order. */
function pageOf(query: URLSearchParams): { readonly query: string; readonly n: number | undefined } {
  const known = new URLSearchParams();
  for (const name of pageParameters) {
    const value = query.get(name)?.slice(0, pageParameterLengthMax);
    if (value && (name !== "n" || /^\d{1,6}$/.test(value))) known.set(name, value);
  }
  const n = known.get("n");
  return { query: known.toString(), n: n === null ? undefined : Number(n) };
}

/** Holds an upstream that ignores `n` to it (distribution-spec: fewer than all only with a Link; `n=0` is empty, without one). */
function held(list: List, n: number | undefined): { readonly tags: readonly string[]; readonly next?: string } {
  const tags = Array.isArray(list.body["tags"]) ? list.body["tags"].filter((tag) => typeof tag === "string") : [];
  if (n === 0) return { tags: [] };
  if (n === undefined || tags.length <= n) return { tags, ...(list.next === undefined ? {} : { next: list.next }) };
  const page = tags.slice(0, n);
  return { tags: page, next: new URLSearchParams({ n: String(n), last: page.at(-1) ?? "" }).toString() };
}

/** The same path, so that the client comes back the way it came; `ns` stays, as clients resolve the link as it is. */
function linkTarget(raw: string, ns: string | undefined, next: string): string {
  const query = new URLSearchParams(next);
  if (ns !== undefined) query.set("ns", ns);
  return `${raw.split("?", 1)[0]}?${query.toString()}`;
}
