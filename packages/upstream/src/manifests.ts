import {
  limits as cacheLimits,
  PullringError,
  type ManifestAnswer,
  type ManifestHead,
  type LaneAnswer,
  type LaneFetch,
  type LaneOrder,
  type ManifestSource,
  type Repository,
} from "@pullring/core";
import {
  isDigestReference,
  manifestAccept,
  manifestTypeIn,
  parseManifest,
  type Digest,
  type Reference,
} from "@pullring/oci";

import { makeCollector } from "./collector.ts";
import { contentLengthOf, digestClaimOf, isIdentity, mediaTypeOf } from "./headers.ts";
import type { AccountLane } from "./lanes.ts";
import { limits } from "./limits.ts";
import type { Answer } from "./redirects.ts";
import type { Order } from "./order.ts";
import type { RegistryOf } from "./sources.ts";

export interface ManifestSourceOptions {
  readonly registryOf: RegistryOf;
  readonly laneFetch: LaneFetch | undefined;
}

export function makeManifestSource({ registryOf, laneFetch }: ManifestSourceOptions): ManifestSource {
  return {
    async head({ upstream, name }, reference, signal) {
      let head: ManifestHead | undefined;
      const order = { ...orderOf("manifest_head", name, reference), method: "HEAD", signal } as const;
      const registry = registryOf(upstream);
      await registry.ask(order, (answer, lane) => {
        const { mediaType: claim, ...facts } = factsOf(answer, lane);
        const mediaType = manifestTypeIn(claim);
        // There are no bytes to tell better: an error page's type must not become the manifest's.
        head = mediaType === undefined ? facts : { ...facts, mediaType };
        return undefined;
      });
      const told = received(head);
      if (told.digest !== undefined) await registry.named({ repository: name, reference }, [told.digest]);
      return told;
    },

    async get(repository, reference, signal) {
      const { receive, answer, put } = makeReceiver();
      const order = { ...getOrder(repository, reference), signal };
      const registry = registryOf(repository.upstream);
      await registry.askCounted(order, receive, async ({ node, name }) => {
        if (!laneFetch) throw new PullringError("unavailable", "there are no other nodes");
        const told = await laneFetch.fetch(node, { lane: name, repository, reference });
        put(told.answer);
        return told.outcome;
      });
      const got = answer();
      await registry.named(order, childrenOf(got));
      return got;
    },

    refusal: ({ upstream, name }, reference) => registryOf(upstream).refusal({ repository: name, reference }),
  };
}

const childrenOf = ({ bytes, mediaType }: ManifestAnswer): readonly Digest[] =>
  parseManifest(bytes, mediaType)?.descriptors.flatMap(({ kind, digest }) => (kind === "manifest" ? [digest] : [])) ??
  [];

/** For another node, which has taken from the lane's budget. */
export async function fetchOnLane(registryOf: RegistryOf, order: LaneOrder): Promise<LaneAnswer> {
  const { lane, repository, reference } = order;
  const { receive, answer } = makeReceiver();
  const outcome = await registryOf(repository.upstream).askBy(lane, getOrder(repository, reference), receive);
  return { answer: answer(), outcome };
}

const getOrder = ({ name }: Repository, reference: Reference) =>
  ({
    ...orderOf("manifest_get", name, reference),
    reference,
    retryAlso: "cut",
    // Every GET by tag may be counted.
    retriesMax: isDigestReference(reference) ? limits.retriesMax : 1,
  }) as const;

function makeReceiver() {
  let read: (() => ManifestAnswer) | undefined;
  return {
    receive: (found: Answer, lane: AccountLane) => {
      const body = bodyOf(found);
      const { size: _, ...facts } = factsOf(found, lane);
      read = () => ({ ...facts, bytes: body.bytes() });
      return body;
    },
    put: (answer: ManifestAnswer): void => void (read = () => answer),
    answer: (): ManifestAnswer => received(read)(),
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
