import type { HubKnobs } from "./knobs.ts";

type Profile = Partial<HubKnobs>;

const unlimited: Profile = { anonymousLimit: undefined, rateHeaders: false };

/** Other registries, as far as they differ from Docker Hub in ways that a proxy trips over. */
export const hubProfiles = {
  ghcr: {
    ...unlimited,
    service: "ghcr.io",
    pingScope: "repository:user/image:pull",
    tokenDeniedStatus: 403,
    tokenRefusesPush: true,
    tokenRepositoryBound: false,
    referrers: false,
  },
  quay: {
    ...unlimited,
    service: "quay.io",
    tokenLifetimeSec: 3600,
    redirectStatus: 302,
    redirectTtlSec: 600,
    redirectBody: "<html>Redirecting...</html>",
    blobHead: "serve",
    blobDigestHeader: true,
  },
  gcr: {
    ...unlimited,
    service: "gcr.io",
    challengeOnResource: false,
    tokenNeedsScope: true,
    redirectStatus: 302,
    redirectRelative: true,
    cdnMultiRange: 400,
  },
  redhat: { ...unlimited, auth: "none", gzipWhenAccepted: true, manifestDigestHeader: false },
  /** Needs `redirectAllTo` as well. */
  k8s: { ...unlimited, auth: "none", redirectStatus: 307 },
  mcr: { ...unlimited, auth: "none", schema1Downgrade: true },
  ecrPublic: {
    ...unlimited,
    service: "public.ecr.aws",
    pingScope: "aws",
    challengeScope: "aws",
    tokenRepositoryBound: false,
    blobHead: 401,
  },
  gitlab: { ...unlimited, service: "container_registry", referrers: false },
  nvcr: {
    ...unlimited,
    service: undefined,
    realmQuery: "scope=repository:<repository>:pull,push",
    challengeScope: "absent",
  },
  azure: { ...unlimited, tokenPostStatus: 400, tokenField: "access_token" },
  basic: { ...unlimited, auth: "basic", redirect: false, missingRepositoryStatus: 404 },
  open: { ...unlimited, auth: "none", redirect: false, missingRepositoryStatus: 404 },
} satisfies Record<string, Profile>;
