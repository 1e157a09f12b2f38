/** As a configuration file would say it. */
interface KnownUpstream {
  readonly url: string;
  readonly aliases?: readonly string[];
  /** Where the registry's challenges send clients for tokens, when that is not the registry itself. */
  readonly tokenOrigins?: readonly string[];
  /** It counts requests; what it allows stands in the schema. */
  readonly quota?: object;
}

/** Registries that work without an entry; what an entry says goes over this, key by key. */
export const knownUpstreams: Readonly<Record<string, KnownUpstream>> = {
  "docker.io": {
    url: "https://registry-1.docker.io",
    aliases: ["index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"],
    tokenOrigins: ["https://auth.docker.io"],
    quota: {},
  },
  "ghcr.io": { url: "https://ghcr.io" },
  "quay.io": { url: "https://quay.io" },
  "registry.k8s.io": { url: "https://registry.k8s.io" },
  "gcr.io": { url: "https://gcr.io" },
  "mirror.gcr.io": { url: "https://mirror.gcr.io" },
  "mcr.microsoft.com": { url: "https://mcr.microsoft.com" },
  "public.ecr.aws": { url: "https://public.ecr.aws" },
  "registry.gitlab.com": { url: "https://registry.gitlab.com", tokenOrigins: ["https://gitlab.com"] },
  "nvcr.io": { url: "https://nvcr.io" },
  "registry.access.redhat.com": { url: "https://registry.access.redhat.com" },
  "registry.redhat.io": { url: "https://registry.redhat.io" },
};
