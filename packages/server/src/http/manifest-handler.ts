import { bytesBody, type Access } from "@pullring/core";
import { isDigestReference, type Digest, type Tag } from "@pullring/oci";

import { askedTier, immutable, revalidate, servedHeaders, type Served } from "./cache-headers.ts";
import { headBody } from "./head-body.ts";
import type { Ask, Of, RegistryDeps } from "./registry.ts";

export function serveManifest(deps: RegistryDeps, ask: Ask<Of<"manifest">>): Promise<void> {
  const { reference } = ask.target;
  return isDigestReference(reference) ? serveDigest(deps, ask, reference) : serveTag(deps, ask, reference);
}

async function serveDigest(deps: RegistryDeps, ask: Ask<Of<"manifest">>, digest: Digest): Promise<void> {
  const { cache } = deps;
  if (ask.exchange.request.method !== "HEAD")
    return sendManifest(deps, ask, { ...(await cache.manifests.get(ask.repository, digest)), caching: immutable });
  const facts = await cache.manifests.stat(ask.repository, digest);
  return sendHead(deps, ask, { ...facts, digest, caching: immutable });
}

async function serveTag(deps: RegistryDeps, ask: Ask<Of<"manifest">>, tag: Tag): Promise<void> {
  const { cache } = deps;
  if (ask.exchange.request.method === "HEAD") {
    const { record, ...how } = await cache.tags.resolve(ask.repository, tag);
    const { mediaType, size, digest } = record;
    // Docker's puller wants all three, or asks again by GET: better one GET of ours, which is then kept.
    if (mediaType !== undefined && size !== undefined)
      return sendHead(deps, ask, { ...how, tier: askedTier(how), digest, mediaType, size, caching: revalidate });
  }
  return sendManifest(deps, ask, { ...(await cache.tags.get(ask.repository, tag)), caching: revalidate });
}

type Facts = Served & { readonly digest: Digest; readonly mediaType: string; readonly caching: string };

function sendManifest(
  deps: RegistryDeps,
  ask: Ask,
  manifest: Facts & { readonly bytes: Buffer; readonly access: Access },
): Promise<void> {
  const { digest, mediaType, bytes, access } = manifest;
  ask.exchange.access = access;
  const headers = headersOf(ask, manifest);
  return deps.responder.sendBody(ask.exchange, { digest, mediaType, headers, body: bytesBody(bytes) });
}

function sendHead(deps: RegistryDeps, ask: Ask, facts: Facts & { readonly size: number }): Promise<void> {
  const { digest, mediaType, size } = facts;
  const headers = headersOf(ask, facts);
  return deps.responder.sendBody(ask.exchange, { digest, mediaType, headers, body: headBody(size) });
}

const headersOf = ({ exchange, target }: Ask, facts: Facts) => ({
  ...servedHeaders(exchange, target, facts),
  "cache-control": facts.caching,
});
