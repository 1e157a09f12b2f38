import {
  limits as cacheLimits,
  PullringError,
  type ManifestAnswer,
  type ManifestHead,
  type ManifestSource,
} from "@pullring/core";
import { isDigestReference, manifestAccept, manifestTypeIn, type Reference } from "@pullring/oci";

import { makeCollector } from "./collector.ts";
import { contentLengthOf, digestClaimOf, isIdentity, mediaTypeOf } from "./headers.ts";
import type { AccountLane } from "./lanes.ts";
import { limits } from "./limits.ts";
import type { Answer } from "./redirects.ts";
import type { Order } from "./registry.ts";
import type { RegistryOf } from "./sources.ts";

export function makeManifestSource(registryOf: RegistryOf): ManifestSource {
  return {
    async head({ upstream, name }, reference, signal) {
      let head: ManifestHead | undefined;
      const order = { ...orderOf("manifest_head", name, reference), method: "HEAD", signal } as const;
      await registryOf(upstream).ask(order, (answer, lane) => {
        const { mediaType: claim, ...facts } = factsOf(answer, lane);
        const mediaType = manifestTypeIn(claim);
        // There are no bytes to tell better: an error page's type must not become the manifest's.
        head = mediaType === undefined ? facts : { ...facts, mediaType };
        return undefined;
      });
      return received(head);
    },

    async get({ upstream, name }, reference, signal) {
      let answer: (() => ManifestAnswer) | undefined;
      const order = {
        ...orderOf("manifest_get", name, reference),
        signal,
        retryAlso: "cut",
        // Every GET by tag may be counted.
        retriesMax: isDigestReference(reference) ? limits.retriesMax : 1,
      } as const;
      await registryOf(upstream).ask(order, (found, lane) => {
        const body = bodyOf(found);
        const { size: _, ...facts } = factsOf(found, lane);
        answer = () => ({ ...facts, bytes: body.bytes() });
        return body;
      });
      return received(answer)();
    },
  };
}

/** The Accept never depends on who asks: registries answer by it, and the cache keeps one answer for all. */
const orderOf = (kind: "manifest_head" | "manifest_get", repository: string, reference: Reference): Order => ({
  kind,
  repository,
  path: `manifests/${reference}`,
  accept: manifestAccept,
});

function factsOf({ headers }: Answer, lane: AccountLane): ManifestHead {
  const [digest, mediaType, size] = [digestClaimOf(headers), mediaTypeOf(headers), contentLengthOf(headers)];
  return {
    lane: { name: lane.name, access: lane.access },
    ...(digest === undefined ? {} : { digest }),
    ...(mediaType === undefined ? {} : { mediaType }),
    ...(size === undefined ? {} : { size }),
  };
}

function bodyOf({ headers, url }: Answer) {
  const tooLarge = (): never => {
    throw new PullringError(
      "too_large",
      `${url.host} sends a manifest of more than ${cacheLimits.manifestBytesMax} bytes`,
    );
  };
  if (!isIdentity(headers)) throw new PullringError("corrupt", `${url.host} sends a manifest with a content coding`);
  if ((contentLengthOf(headers) ?? 0) > cacheLimits.manifestBytesMax) tooLarge();
  return makeCollector(cacheLimits.manifestBytesMax, tooLarge);
}

/** `ask` has resolved, so there was an answer. */
function received<T>(answer: T | undefined): T {
  if (answer === undefined) throw new PullringError("unavailable", "no answer was received");
  return answer;
}
