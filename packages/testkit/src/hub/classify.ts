import type { HubOrigin, RequestKind } from "./ledger.ts";

export interface Target {
  readonly kind: RequestKind;
  readonly repository?: string;
  readonly reference?: string;
}

/** Where the registry keeps blobs for its own relative redirects; the CDNs have another prefix. */
export const downloadsPrefix = "/artifacts-downloads";
export const cdnPrefix = "/registry-v2";

const contentPath = new RegExp(`^(?:${downloadsPrefix}|${cdnPrefix})/(.+)/blobs/([^/]+)/data$`);

export const contentPathOf = (prefix: string, repository: string, digest: string): string =>
  `${prefix}/${repository}/blobs/${digest}/data`;

function contentTarget(path: string, method: string, isRanged: boolean): Target {
  const [, repository, reference] = contentPath.exec(path) ?? [];
  if (repository === undefined || reference === undefined) return { kind: "other" };
  const kind = method === "HEAD" ? "cdn_head" : isRanged ? "cdn_range" : "cdn_get";
  return { kind, repository, reference };
}

function apiTarget(path: string, method: string, isRanged: boolean): Target {
  if (/^\/v2\/?$/.test(path)) return { kind: "ping" };
  const tags = /^\/v2\/(.+)\/tags\/list$/.exec(path)?.[1];
  if (tags !== undefined) return { kind: "tags", repository: tags };
  const [, repository, part, reference] = /^\/v2\/(.+)\/(manifests|blobs|referrers)\/([^/]+)$/.exec(path) ?? [];
  if (repository === undefined || reference === undefined) return { kind: "other" };
  if (part === "referrers") return { kind: "referrers", repository, reference };
  if (part === "manifests")
    return { kind: method === "HEAD" ? "manifest_head" : "manifest_get", repository, reference };
  return { kind: method === "HEAD" ? "blob_head" : isRanged ? "blob_range" : "blob_get", repository, reference };
}

/** What a request is about, by its path, decoded, alone. */
export function classify(origin: HubOrigin, path: string, options: { method: string; isRanged: boolean }): Target {
  const { method, isRanged } = options;
  if (origin === "token") return { kind: "token" };
  const isApi = origin === "registry" && !path.startsWith(downloadsPrefix);
  return isApi ? apiTarget(path, method, isRanged) : contentTarget(path, method, isRanged);
}
