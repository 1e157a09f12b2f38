import { isDigest, parseDigest, type Digest } from "./digest.ts";
import { OciError } from "./errors.ts";

declare const tagBrand: unique symbol;
export type Tag = string & { readonly [tagBrand]: true };
export type Reference = Tag | Digest;

const tagGrammar = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;
const component = "[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*";
const nameGrammar = new RegExp(`^${component}(?:/${component})*$`);

/** Longest repository name, in characters (distribution-spec: host + "/" + name ≤ 255). */
export const nameLengthMax = 255;

/** Throws NAME_INVALID unless `text` is a repository name by the distribution-spec's grammar. */
export function parseName(text: string): string {
  if (text.length > nameLengthMax || !nameGrammar.test(text))
    throw new OciError("NAME_INVALID", `not a repository name: ${text.slice(0, 160)}`);
  return text;
}

/** Throws TAG_INVALID or DIGEST_INVALID; what holds a colon can only be meant as a digest. */
export function parseReference(text: string): Reference {
  if (text.includes(":")) return parseDigest(text);
  if (!tagGrammar.test(text)) throw new OciError("TAG_INVALID", `not a tag: ${text.slice(0, 160)}`);
  return text as Tag;
}

export const isDigestReference = (reference: Reference): reference is Digest => isDigest(reference);
