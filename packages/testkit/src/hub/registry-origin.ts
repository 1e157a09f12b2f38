import { admit } from "./authorize.ts";
import { blobReply } from "./blob-reply.ts";
import { corruptedAt, textBytes } from "./bytes.ts";
import { isSignedNow, signedPath } from "./cdn-url.ts";
import { cdnPrefix, contentPathOf, downloadsPrefix } from "./classify.ts";
import type { HubRepository } from "./content.ts";
import { referrersAnswer, tagsAnswer } from "./lists.ts";
import { manifestAnswer } from "./manifests.ts";
import { errorReply, type Exchange, jsonReply, type Reply } from "./reply.ts";
import type { HubState } from "./state.ts";

const blobUnknown = (): Reply => errorReply({ status: 404, code: "BLOB_UNKNOWN", message: "blob unknown to registry" });
const notFound = (): Reply => ({
  status: 404,
  headers: { "content-type": "text/plain" },
  body: textBytes("404 page not found\n"),
});

/** The `/v2/` API. */
export function makeRegistryOrigin(state: HubState) {
  const { knobs, origins } = state;
  let redirects = 0;

  function redirectTo(location: string, digest: string): Reply {
    return {
      status: knobs.redirectStatus,
      headers: {
        "content-type": "application/octet-stream",
        location,
        ...(knobs.blobDigestHeader ? { "docker-content-digest": digest } : {}),
      },
      body: textBytes(knobs.redirectBody),
    };
  }

  function locationOf(repository: string, digest: string): string {
    if (knobs.redirectRelative) {
      return signedPath(state, origins.registry, contentPathOf(downloadsPrefix, repository, digest));
    }
    const cdn = origins.cdns[knobs.redirectCdn === "alternate" ? redirects++ % 2 : knobs.redirectCdn] ?? "";
    return `${cdn}${signedPath(state, cdn, contentPathOf(cdnPrefix, repository, digest))}`;
  }

  function served(exchange: Exchange, repository: HubRepository): Reply {
    const { reference: digest = "" } = exchange.entry;
    const bytes = repository.blobs.get(digest);
    if (bytes === undefined) return blobUnknown();
    const reply = blobReply(exchange, { digest, bytes: corruptedAt(bytes, exchange.fault.corruptAt), knobs });
    const headers = { ...reply.headers, ...(knobs.blobDigestHeader ? { "docker-content-digest": digest } : {}) };
    return { ...reply, headers };
  }

  function blobAnswer(exchange: Exchange, repository: HubRepository): Reply {
    const { kind, reference: digest = "" } = exchange.entry;
    if (kind === "blob_head" && typeof knobs.blobHead === "number") {
      return errorReply({ status: knobs.blobHead, code: "UNAUTHORIZED", message: "Not Authorized" });
    }
    if (!repository.blobs.has(digest)) return blobUnknown();
    const isServed = !knobs.redirect || (kind === "blob_head" && knobs.blobHead === "serve");
    return isServed ? served(exchange, repository) : redirectTo(locationOf(repository.name, digest), digest);
  }

  function downloadAnswer(exchange: Exchange, repository: HubRepository): Reply {
    const isGood = isSignedNow(state, origins.registry, exchange.path, exchange.query);
    return isGood ? served(exchange, repository) : { status: 403, headers: {} };
  }

  function refuse(exchange: Exchange): Reply | undefined {
    const { method, kind } = exchange.entry;
    if (kind === "ping" && knobs.pingStatus !== undefined) return jsonReply(knobs.pingStatus, {});
    const admission = admit(state, exchange);
    if ("refusal" in admission) return admission.refusal;
    exchange.entry.account = admission.account?.username;
    if (method !== "GET" && method !== "HEAD") {
      return errorReply({ status: 405, code: "UNSUPPORTED", message: "The operation is unsupported." });
    }
    return undefined;
  }

  function answer(exchange: Exchange): Reply {
    const { kind, repository: name = "" } = exchange.entry;
    if (kind === "ping") return jsonReply(200, {}, { "docker-distribution-api-version": "registry/2.0" });
    const repository = state.content.find(name);
    if (repository === undefined) return notFound();
    if (knobs.redirectAllTo !== undefined) {
      const query = exchange.entry.query === "" ? "" : `?${exchange.entry.query}`;
      return { status: knobs.redirectStatus, headers: { location: `${knobs.redirectAllTo}${exchange.path}${query}` } };
    }
    if (kind === "manifest_get" || kind === "manifest_head") return manifestAnswer(state, exchange, repository);
    if (kind === "tags") return tagsAnswer(state, exchange, repository);
    if (kind === "referrers") return referrersAnswer(state, exchange, repository);
    return kind.startsWith("blob_") ? blobAnswer(exchange, repository) : downloadAnswer(exchange, repository);
  }

  return { refuse, answer };
}
