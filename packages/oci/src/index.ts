/**
 * The words of the protocol: digests, names and references, request targets, ranges, manifests and error codes of the
 * OCI distribution-spec. Pure functions over strings and bytes; no dependency, no I/O.
 */
export { algorithmOf, hexOf, isDigest, parseDigest, type Digest, type DigestAlgorithm } from "./digest.ts";
export { errorBody, OciError, type OciErrorCode } from "./errors.ts";
export { nextLink } from "./link-header.ts";
export { manifestAccept, manifestTypeIn, mediaTypes, parseManifest } from "./manifest.ts";
export type { Descriptor, Manifest } from "./manifest.ts";
export { parseRange, rangesMax, type RangeAnswer, type Span } from "./range.ts";
export { isDigestReference, nameLengthMax, parseName, parseReference, type Reference, type Tag } from "./reference.ts";
export { parseTarget, type Target } from "./target.ts";
