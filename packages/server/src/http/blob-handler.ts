import { parseRange } from "@pullring/oci";

import { immutable, servedHeaders } from "./cache-headers.ts";
import type { Exchange } from "./exchange.ts";
import { headBody } from "./head-body.ts";
import type { Ask, Of, RegistryDeps } from "./registry.ts";

/** A registry does not know what a blob is; its manifest does. */
const mediaType = "application/octet-stream";

export async function serveBlob({ cache, responder }: RegistryDeps, ask: Ask<Of<"blob">>): Promise<void> {
  const { exchange, repository, target } = ask;
  const { digest } = target;
  if (exchange.request.method === "HEAD") {
    const { size, tier } = await cache.blobs.stat(repository, digest);
    const headers = { ...servedHeaders(exchange, target, { tier, joined: false }), "cache-control": immutable };
    return responder.sendBody(exchange, { digest, mediaType, headers, body: headBody(size) });
  }
  const client = exchange.client.address;
  const opened = await cache.blobs.open({ repository, digest, client, resumes: resumes(exchange) });
  exchange.access = opened.access;
  const headers = { ...servedHeaders(exchange, target, opened), "cache-control": immutable };
  return responder.sendBody(exchange, { digest, mediaType, headers, body: opened.body });
}

/** A client that goes on with a body it lost, as far as its Range tells: one range, not from the start. */
function resumes({ request }: Exchange): boolean {
  if (request.headers.range === undefined) return false;
  const range = parseRange(request.headers.range, Number.MAX_SAFE_INTEGER);
  return range.kind === "spans" && range.spans.length === 1 && (range.spans[0]?.start ?? 0) > 0;
}
