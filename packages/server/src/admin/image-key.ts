import { repositoryKey, route, type Repository, type UpstreamNames } from "@pullring/core";
import { OciError, parseDigest, parseReference, type Digest, type Tag } from "@pullring/oci";

import { AdminProblem } from "./admin-problem.ts";

/** What somebody means by `upstream/repo` or `upstream/repo:tag`. */
export interface Image {
  readonly repository: Repository;
  readonly tag?: Tag;
}

/** Reads it by the rules for requests: aliases folded, `library/` added, no upstream = the default. Throws AdminProblem. */
export function parseImage(text: string, names: UpstreamNames): Image {
  // A colon before the last slash belongs to the upstream's port.
  const [, path = text, tag] = /^(.*?)(?::([^/:]*))?$/s.exec(text) ?? [];
  return asProblem(() => {
    const repository = route({ kind: "tags", path, query: new URLSearchParams() }, names);
    return tag === undefined ? { repository } : { repository, tag: parseTag(tag) };
  });
}

/** An image to fetch, by tag or by digest. */
export type WarmImage = { readonly name: string; readonly repository: Repository } & (
  | { readonly tag: Tag }
  | { readonly tag?: undefined; readonly digest: Digest }
);

/** As for a pull: without a tag it is `latest`; a digest behind a tag decides. Throws AdminProblem. */
export function parseWarmImage(text: string, names: UpstreamNames): WarmImage {
  const [, image = text, given] = /^([^@]*)@(.*)$/s.exec(text) ?? [];
  const { repository, tag = "latest" as Tag } = parseImage(image, names);
  if (given === undefined) return { name: `${repositoryKey(repository)}:${tag}`, repository, tag };
  const digest = parseBlob(given);
  return { name: `${repositoryKey(repository)}@${digest}`, repository, digest };
}

function parseTag(text: string): Tag {
  return parseReference(text) as Tag;
}

/** The key that is hashed for a digest or for `upstream/repo:tag`. Throws AdminProblem. */
export function parseKey(text: string, names: UpstreamNames): string {
  // A repository may be called sha256; who asks for one names its upstream.
  if (/^sha(?:256|512):/.test(text)) return parseBlob(text);
  const { repository, tag } = parseImage(text, names);
  if (tag === undefined) throw new AdminProblem(400, "a key is a digest, or upstream/repo:tag with its tag");
  return `${repositoryKey(repository)}:${tag}`;
}

export const parseBlob = (text: string): Digest => asProblem(() => parseDigest(text));

function asProblem<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof OciError) throw new AdminProblem(error.code === "NAME_UNKNOWN" ? 404 : 400, error.message);
    throw error;
  }
}
