import type { SecretSource } from "./secret-source.ts";

/** What a configuration file would hold of these keys. */
export const withoutAbsent = (words: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(words).filter(([, value]) => value !== undefined));

/** An inline secret as `***`, one from a file by the file's name. */
export function secretWords(name: string, secret: SecretSource | undefined): Record<string, string> {
  if (!secret) return {};
  return secret.file === undefined ? { [name]: String(secret) } : { [`${name}File`]: secret.file };
}
