import { OciError } from "./errors.ts";

declare const digestBrand: unique symbol;
/** A digest this cache can verify: `sha256:` + 64 or `sha512:` + 128 lower-case hex digits (image-spec, descriptor). */
export type Digest = string & { readonly [digestBrand]: true };
export type DigestAlgorithm = "sha256" | "sha512";

const verifiable = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/;

/** True for the digests that can be verified; other algorithms are legal in the spec but never stored here. */
export const isDigest = (text: string): text is Digest => verifiable.test(text);

/** Throws DIGEST_INVALID for anything that cannot be verified. */
export function parseDigest(text: string): Digest {
  if (!isDigest(text)) throw new OciError("DIGEST_INVALID", `not a sha256 or sha512 digest: ${text.slice(0, 160)}`);
  return text;
}

export const algorithmOf = (digest: Digest): DigestAlgorithm => (digest.startsWith("sha256:") ? "sha256" : "sha512");
export const hexOf = (digest: Digest): string => digest.slice(7);
