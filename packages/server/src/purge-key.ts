import { repositoryKey, type PurgeOrder } from "@pullring/core";
import { isDigest, isDigestReference, OciError, parseName, parseReference } from "@pullring/oci";

/** What a purge is known by where word of it is left: a digest, `<upstream>/<repository>:<tag>`, or `<upstream>/<repository>`. */
export function purgeKey({ digest, repository, tag }: PurgeOrder): string {
  if (digest !== undefined || !repository) return digest ?? "";
  return tag === undefined ? repositoryKey(repository) : `${repositoryKey(repository)}:${tag}`;
}

const imageGrammar = /^(?<upstream>[^/]+)\/(?<path>[^:]+)(?::(?<reference>.+))?$/;

/** The order behind a key, or undefined for a key that is none: word of a purge comes from where others write too. */
export function purgeOrderOf(key: string, atMs: number): PurgeOrder | undefined {
  if (isDigest(key)) return { digest: key, atMs };
  const { upstream = "", path = "", reference: text } = imageGrammar.exec(key)?.groups ?? {};
  try {
    const repository = { upstream, name: parseName(path) };
    if (text === undefined) return { repository, atMs };
    const reference = parseReference(text);
    return isDigestReference(reference) ? undefined : { repository, tag: reference, atMs };
  } catch (error) {
    if (error instanceof OciError) return undefined;
    throw error;
  }
}
