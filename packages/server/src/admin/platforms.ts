import type { Digest } from "@pullring/oci";
import * as z from "zod";

/** A manifest of an index, and what it is for. */
export interface Choice {
  readonly digest: Digest;
  /** `linux/arm/v7` */
  readonly platform: string | null;
}

const index = z.object({
  manifests: z.array(
    z.object({
      digest: z.string(),
      platform: z.object({ os: z.string(), architecture: z.string(), variant: z.string().optional() }).optional(),
    }),
  ),
});

/** Platforms of one index; attestations among them. */
const manifestsMax = 256;

/** The manifests of an index that these platforms need; undefined for what is no index. Attestations belong to no platform. */
export function chooseManifests(bytes: Uint8Array, platforms: readonly string[]): readonly Choice[] | undefined {
  const { success, data } = index.safeParse(JSON.parse(Buffer.from(bytes).toString()));
  if (!success) return undefined;
  return data.manifests
    .slice(0, manifestsMax)
    .map(({ digest, platform }) => ({ digest: digest as Digest, platform: platform ? nameOf(platform) : null }))
    .filter(({ platform }) => platforms.some((wanted) => isWanted(platform, wanted)));
}

interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string | undefined;
}

const nameOf = ({ os, architecture, variant }: Platform): string =>
  [os, architecture, ...(variant === undefined ? [] : [variant])].join("/");

function isWanted(platform: string | null, wanted: string): boolean {
  if (platform === null || platform.startsWith("unknown/")) return false;
  // arm64 is v8, whether an index says so or not.
  const has = platform.replace(/^(.+\/arm64)\/v8$/, "$1");
  const want = wanted.replace(/^(.+\/arm64)\/v8$/, "$1");
  return wanted === "all" || has === want || (want.split("/").length === 2 && has.startsWith(`${want}/`));
}
