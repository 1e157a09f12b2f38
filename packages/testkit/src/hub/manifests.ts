import { bytesOf, corruptedAt, digestOfBytes, textBytes } from "./bytes.ts";
import type { HubManifest, HubRepository } from "./content.ts";
import { mediaTypes } from "./images.ts";
import type { Payer } from "./quota.ts";
import { errorReply, type Exchange, type Reply } from "./reply.ts";
import type { HubState } from "./state.ts";

const { dockerList, dockerManifest, dockerSchema1, ociIndex, ociManifest } = mediaTypes;
const indexTypes: ReadonlySet<string> = new Set([dockerList, ociIndex]);
const negotiatedTypes: ReadonlySet<string> = new Set([dockerList, dockerManifest, ociIndex, ociManifest]);

const isIndex = (manifest: HubManifest): boolean => indexTypes.has(manifest.mediaType);

const unknown = (message: string): Reply => errorReply({ status: 404, code: "MANIFEST_UNKNOWN", message });

function findManifest(repository: HubRepository, reference: string): HubManifest | undefined {
  const digest = reference.includes(":") ? reference : repository.tags.get(reference);
  return digest === undefined ? undefined : repository.manifests.get(digest);
}

/** The types that a request names. Wildcards name none: to Docker Hub they do not mean every type. */
const acceptedTypes = ({ request }: Exchange): readonly string[] =>
  (request.headers.accept ?? "").split(",").map((type) => (type.split(";")[0] ?? "").trim());

/** The old format, made from a schema 2 manifest: other bytes, and a digest that leaves its signatures out. */
function schema1Of(manifest: HubManifest, { name }: HubRepository, tag: string): HubManifest {
  const layers = manifest.document?.layers ?? [];
  const payload = {
    schemaVersion: 1,
    name,
    tag,
    architecture: "amd64",
    fsLayers: layers.map((layer) => ({ blobSum: layer.digest })),
    history: layers.map(({ digest }) => ({ v1Compatibility: JSON.stringify({ id: digest.slice(7) }) })),
  };
  const digest = digestOfBytes(textBytes(JSON.stringify(payload)));
  const bytes = Buffer.from(JSON.stringify({ ...payload, signatures: [{ signature: "none", protected: "none" }] }));
  return { mediaType: dockerSchema1, digest, size: bytes.length, bytes, document: undefined };
}

function childFor(manifest: HubManifest, repository: HubRepository): HubManifest | undefined {
  const child = manifest.document?.manifests?.find(
    ({ platform }) => platform?.os === "linux" && platform.architecture === "amd64",
  );
  return child === undefined ? undefined : repository.manifests.get(child.digest);
}

interface Negotiation {
  readonly state: HubState;
  readonly exchange: Exchange;
  readonly repository: HubRepository;
}

/** The manifest as this client gets to see it, or why it does not. */
function negotiate(found: HubManifest, { state, exchange, repository }: Negotiation): HubManifest | Reply {
  const { knobs } = state;
  const accepted = acceptedTypes(exchange);
  const tag = exchange.entry.reference ?? "";
  if (!knobs.acceptSensitive || !negotiatedTypes.has(found.mediaType)) return found;
  if (accepted.includes(found.mediaType)) return found;
  if (knobs.childForIndex && isIndex(found) && !tag.includes(":")) {
    const child = childFor(found, repository);
    if (child !== undefined) return child;
  }
  if (knobs.schema1Downgrade && found.mediaType === dockerManifest) return schema1Of(found, repository, tag);
  if (found.mediaType === ociIndex) {
    return unknown("OCI index found, but accept header does not support OCI indexes");
  }
  return found.mediaType === ociManifest
    ? unknown("OCI manifest found, but accept header does not support OCI manifests")
    : unknown("manifest unknown");
}

function pullLimited({ knobs, quota }: HubState, who: Payer): Reply {
  const whose = who.key.startsWith("account:") ? "" : "unauthenticated ";
  const retryAfter = knobs.pullLimitRetryAfterSec;
  return errorReply({
    status: 429,
    code: "TOOMANYREQUESTS",
    message: `You have reached your ${whose}pull rate limit. https://www.docker.com/increase-rate-limit`,
    headers: { ...quota.headers(who), ...(retryAfter === undefined ? {} : { "retry-after": `${retryAfter}` }) },
  });
}

function isCharged({ knobs }: HubState, exchange: Exchange, manifest: HubManifest | undefined): boolean {
  const { method, repository = "" } = exchange.entry;
  if (method !== "GET" || knobs.exemptRepositories.includes(repository)) return false;
  if (manifest === undefined) return knobs.countMissing;
  return knobs.count !== "leaf-only" || !isIndex(manifest);
}

function manifestReply({ knobs, quota }: HubState, exchange: Exchange, options: { manifest: HubManifest; who: Payer }) {
  const { manifest, who } = options;
  const isExempt = knobs.exemptRepositories.includes(exchange.entry.repository ?? "");
  const rate = isExempt ? { "docker-ratelimit-source": who.source } : quota.headers(who);
  return {
    status: 200,
    headers: {
      "content-type": manifest.mediaType,
      ...(knobs.manifestDigestHeader ? { "docker-content-digest": manifest.digest } : {}),
      "docker-distribution-api-version": "registry/2.0",
      etag: `"${manifest.digest}"`,
      "strict-transport-security": "max-age=31536000",
      ...rate,
    },
    body: corruptedAt(bytesOf(manifest.bytes), exchange.fault.corruptAt),
    ...(knobs.manifestContentLength ? {} : { framing: "chunked" as const }),
  };
}

/** `GET|HEAD /v2/<name>/manifests/<reference>`, and who pays for it. */
export function manifestAnswer(state: HubState, exchange: Exchange, repository: HubRepository): Reply {
  const { knobs, quota } = state;
  const { method, reference = "", account, remoteAddress } = exchange.entry;
  if (method === "HEAD" && knobs.manifestHeadStatus !== undefined) {
    return { status: knobs.manifestHeadStatus, headers: { "content-type": "application/json" } };
  }
  const found = findManifest(repository, reference);
  const outcome = found && negotiate(found, { state, exchange, repository });
  const manifest = outcome !== undefined && "digest" in outcome ? outcome : undefined;
  const who = quota.payer(
    knobs.accounts.find(({ username }) => username === account),
    remoteAddress,
  );
  if (isCharged(state, exchange, manifest)) {
    if (quota.isSpent(who)) return pullLimited(state, who);
    exchange.entry.counted = quota.charge(who);
  }
  if (manifest !== undefined) return manifestReply(state, exchange, { manifest, who });
  return outcome !== undefined && "status" in outcome ? outcome : unknown("manifest unknown");
}
