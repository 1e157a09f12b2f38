/** An account as the hub knows it. */
export interface HubAccount {
  readonly username: string;
  readonly password: string;
  /** Pulls per window; default 200. */
  readonly limit?: number;
  readonly windowSec?: number;
  /** `paid` has no limit and gets no `ratelimit-*` headers. */
  readonly plan?: "free" | "paid";
  /** Private repositories that it can see: exact names, or `acme/**`. */
  readonly repositories?: readonly string[];
}

/** Answers every request to the registry and the token origin while set. */
export interface AbuseLimit {
  readonly retryAfterSec: number;
  /** Ends the lines of the head by LF alone, as captured in 2020; strict parsers refuse that. */
  readonly bareLf: boolean;
  readonly text: string;
}

/** What a test may change while the hub runs. Defaults are Docker Hub's behaviour. */
export interface HubKnobs {
  // ---- Who may ask ----
  auth: "bearer" | "basic" | "none";
  accounts: readonly HubAccount[];
  /** Wrong passwords per username before its logins are answered 429 for `lockSec`. */
  loginFailuresMax: number;
  lockSec: number;
  /** Status for a repository that is missing or private: Docker Hub 401, others 404 or 403. */
  missingRepositoryStatus: 401 | 403 | 404;
  /** These answer 401 insufficient_scope whatever the token says. */
  insufficientScope: readonly string[];
  /** Overrides the status of `/v2/`. */
  pingStatus: number | undefined;

  // ---- The challenge ----
  /** Replaces the realm: another host, a hostile address. */
  realm: string | undefined;
  /** A query that the realm already carries, without "?"; `<repository>` in it is replaced. */
  realmQuery: string | undefined;
  service: string | undefined;
  /** On a resource: `exact`, `absent`, or any text sent instead (ECR's "aws"). */
  challengeScope: string;
  /** On `/v2/`: none, or any text (ghcr.io's placeholder). */
  pingScope: string | undefined;
  /** False: a 401 on a resource has no WWW-Authenticate; only `/v2/` has. */
  challengeOnResource: boolean;

  // ---- The token endpoint ----
  tokenLifetimeSec: number;
  tokenField: "both" | "token" | "access_token";
  tokenExpiresIn: boolean;
  tokenIssuedAt: boolean;
  /** Answers every token request with this status. */
  tokenStatus: number | undefined;
  /** Status of POST when the endpoint lacks OAuth2; undefined = it has it. */
  tokenPostStatus: 400 | 401 | 404 | 405 | undefined;
  tokenNeedsScope: boolean;
  /** The token endpoint itself answers this when a repository is missing or private (ghcr.io). */
  tokenDeniedStatus: 401 | 403 | undefined;
  /** 403 to an anonymous request for push (ghcr.io). */
  tokenRefusesPush: boolean;
  /** False: any good token opens every public repository (ghcr.io, ECR). */
  tokenRepositoryBound: boolean;

  // ---- Quota ----
  /** Which manifest GETs count: each, the second of two, or those of manifests that are no index. */
  count: "every-get" | "every-2nd-get" | "leaf-only";
  countMissing: boolean;
  /** Per IPv4 address or IPv6 /64; undefined = unlimited. */
  anonymousLimit: number | undefined;
  anonymousWindowSec: number;
  /** Repositories that are free for everybody and have no `ratelimit-*` headers. */
  exemptRepositories: readonly string[];
  rateHeaders: boolean;
  pullLimitRetryAfterSec: number | undefined;
  abuse: AbuseLimit | undefined;
  /** Requests per minute and address before the abuse answer comes by itself. */
  abuseRequestsPerMinute: number | undefined;

  // ---- Manifests and lists ----
  acceptSensitive: boolean;
  /** A schema 2 manifest asked without its type becomes a generated schema-1 one. */
  schema1Downgrade: boolean;
  /** An index asked by tag without its type becomes its linux/amd64 child. */
  childForIndex: boolean;
  manifestDigestHeader: boolean;
  manifestContentLength: boolean;
  manifestHeadStatus: number | undefined;
  tagsPageMax: number;
  referrers: boolean;
  referrersFilter: boolean;
  referrersPageMax: number;
  linkForm: "relative" | "absolute";

  // ---- Blobs ----
  /** False: the registry sends blobs itself. */
  redirect: boolean;
  redirectStatus: 301 | 302 | 303 | 307 | 308;
  redirectCdn: 0 | 1 | "alternate";
  redirectTtlSec: number;
  /** Body of redirects, such as Quay's HTML. */
  redirectBody: string;
  /** Location is a path on the registry itself, which wants the token there too. */
  redirectRelative: boolean;
  /** Docker-Content-Digest on redirects, and on blobs that the registry sends. */
  blobDigestHeader: boolean;
  blobContentLength: boolean;
  /** `redirect` as GET is, `serve` = 200 by the registry, or a status (ECR Public: 401). */
  blobHead: "redirect" | "serve" | number;
  /** Every manifest, tag list and blob is redirected to this origin, same path (registry.k8s.io). */
  redirectAllTo: string | undefined;

  // ---- CDN ----
  /** To several ranges in one request. */
  cdnMultiRange: 400 | 200 | "multipart";
  cdnRanges: boolean;
  cdnHeadStatus: 200 | 403;
  cdnRefusesAuthorization: boolean;
  cdnEtag: "md5" | "sha256" | "absent";

  // ---- The wire ----
  /** For the hub as a whole, as a line has. */
  bandwidthBytesPerSec: number | undefined;
  /** For each response. */
  responseBytesPerSec: number | undefined;
  /** Before each answer. */
  latencyMs: number;
  /** gzips what is at most 1 MiB when the client offers gzip. */
  gzipWhenAccepted: boolean;
}

export const hubKnobs = (): HubKnobs => ({
  auth: "bearer",
  accounts: [],
  loginFailuresMax: 5,
  lockSec: 600,
  missingRepositoryStatus: 401,
  insufficientScope: [],
  pingStatus: undefined,
  realm: undefined,
  realmQuery: undefined,
  service: "registry.docker.io",
  challengeScope: "exact",
  pingScope: undefined,
  challengeOnResource: true,
  tokenLifetimeSec: 300,
  tokenField: "both",
  tokenExpiresIn: true,
  tokenIssuedAt: true,
  tokenStatus: undefined,
  tokenPostStatus: undefined,
  tokenNeedsScope: false,
  tokenDeniedStatus: undefined,
  tokenRefusesPush: false,
  tokenRepositoryBound: true,
  count: "every-get",
  countMissing: false,
  anonymousLimit: 100,
  anonymousWindowSec: 21_600,
  exemptRepositories: [],
  rateHeaders: true,
  pullLimitRetryAfterSec: undefined,
  abuse: undefined,
  abuseRequestsPerMinute: undefined,
  acceptSensitive: true,
  schema1Downgrade: false,
  childForIndex: false,
  manifestDigestHeader: true,
  manifestContentLength: true,
  manifestHeadStatus: undefined,
  tagsPageMax: 100,
  referrers: true,
  referrersFilter: true,
  referrersPageMax: 100,
  linkForm: "relative",
  redirect: true,
  redirectStatus: 307,
  redirectCdn: "alternate",
  redirectTtlSec: 300,
  redirectBody: "",
  redirectRelative: false,
  blobDigestHeader: false,
  blobContentLength: true,
  blobHead: "redirect",
  redirectAllTo: undefined,
  cdnMultiRange: 400,
  cdnRanges: true,
  cdnHeadStatus: 403,
  cdnRefusesAuthorization: true,
  cdnEtag: "md5",
  bandwidthBytesPerSec: undefined,
  responseBytesPerSec: undefined,
  latencyMs: 0,
  gzipWhenAccepted: false,
});
