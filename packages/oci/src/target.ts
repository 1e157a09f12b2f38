import { parseDigest, type Digest } from "./digest.ts";
import { OciError } from "./errors.ts";
import { parseReference, type Reference } from "./reference.ts";

interface Addressed {
  /** Upstream named before `/v2/` (`/<upstream>/v2/…`), as written. */
  readonly prefix?: string;
  /** Upstream named by the `ns` query parameter, decoded. */
  readonly ns?: string;
  /** Path between `/v2/` and the verb, as written: a repository name, perhaps behind a host. Not yet checked. */
  readonly path: string;
  readonly query: URLSearchParams;
}

/** What a request for the registry face asks, read from the raw request target. */
export type Target =
  | { readonly kind: "ping"; readonly prefix?: string }
  | ({ readonly kind: "manifest"; readonly reference: Reference } & Addressed)
  | ({ readonly kind: "blob"; readonly digest: Digest } & Addressed)
  | ({ readonly kind: "tags" } & Addressed)
  | ({ readonly kind: "referrers"; readonly digest: Digest } & Addressed)
  /** Known to the spec, not served by a cache: uploads, catalogue. */
  | { readonly kind: "unsupported" };

/**
 * Reads a raw request target (RFC 9112 §3.2, origin-form or absolute-form). Nothing is decoded or normalised: a name
 * that needs `%`, `..` or `//` is not a name, so a path trick ends here. Returns undefined for what is not under `/v2/`.
 * Throws OciError for a verb of the spec with an invalid reference.
 */
export function parseTarget(raw: string): Target | undefined {
  const target = raw.startsWith("/") ? raw : raw.replace(/^https?:\/\/[^/?#]*/, "");
  const cut = target.indexOf("?");
  const path = cut < 0 ? target : target.slice(0, cut);
  const query = new URLSearchParams(cut < 0 ? "" : target.slice(cut + 1));
  const match = /^(?:\/(?!v2(?:\/|$))([^/]+))?\/v2(?:\/(.*))?$/s.exec(path);
  if (!match) return undefined;
  const [, prefix, rest = ""] = match;
  const before = prefix === undefined ? {} : { prefix };
  if (rest === "") return { kind: "ping", ...before };
  const ns = query.get("ns");
  return parseVerb(rest, { query, ...before, ...(ns ? { ns } : {}) });
}

function parseVerb(rest: string, address: Omit<Addressed, "path">): Target | undefined {
  if (rest === "_catalog" || /\/blobs\/uploads(?:\/|$)/.test(rest)) return { kind: "unsupported" };
  // From the right, since a repository name may itself hold "manifests" or "blobs" as a component.
  const match = /^(.+)\/(manifests|blobs|tags|referrers)\/([^/]*)$/s.exec(rest);
  if (!match) return undefined;
  const [, path = "", verb, last = ""] = match;
  const addressed = { ...address, path };
  if (verb === "manifests") return { kind: "manifest", reference: parseReference(last), ...addressed };
  if (verb === "blobs") return { kind: "blob", digest: parseDigest(last), ...addressed };
  if (verb === "referrers") return { kind: "referrers", digest: parseDigest(last), ...addressed };
  if (last !== "list") throw new OciError("UNSUPPORTED", "only tags/list is known");
  return { kind: "tags", ...addressed };
}
