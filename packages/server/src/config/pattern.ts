import { textKind, type Kind } from "./scalar.ts";

const dockerHub = "docker.io";
const word = "[a-z0-9._*-]+";
const place = `(?:${word}(?::[0-9]+)?/)?${word}(?:/${word})*`;
const wild = "* stands for anything in one part, ** for anything at all";

function patternKind(allowed: string, grammar: RegExp, canMatch: (pattern: string) => boolean): Kind<string> {
  const text = textKind("pattern", `${allowed}; ${wild}`, grammar);
  return {
    ...text,
    parse(found) {
      const pattern = text.parse(found);
      return pattern !== undefined && !pattern.includes("***") && canMatch(pattern) ? pattern : undefined;
    },
  };
}

/** Over the repositories of one upstream. */
export const repositoryPatternKind = patternKind(
  "a pattern over repository names such as acme/**",
  new RegExp(`^${word}(?:/${word})*$`),
  () => true,
);

/** Over `repository:tag` of one upstream; without a tag it must end in what a tag can be a part of. */
export const tagPatternKind = patternKind(
  "a pattern over repository:tag such as library/*:latest or acme/**",
  new RegExp(`^${word}(?:/${word})*(?::[A-Za-z0-9._*-]+)?$`),
  (pattern) => /:[^/]*$|\*\*$/.test(pattern),
);

/** Over `upstream/repository`. A pattern without a slash could match nothing: the rule would silently never hold. */
export const placePatternKind = patternKind(
  "a pattern over upstream/repository such as docker.io/acme/** or **",
  new RegExp(`^${place}$`),
  (pattern) => /\/|\*\*/.test(pattern),
);

/** Over `upstream/repository:tag`; without a tag it must end in what a tag can be a part of. */
export const imagePatternKind = patternKind(
  "a pattern over upstream/repository:tag such as docker.io/library/*:latest, ghcr.io/acme/** or **",
  new RegExp(`^${place}(?::[A-Za-z0-9._*-]+)?$`),
  (pattern) => /\/|\*\*/.test(pattern) && /:[^/]*$|\*\*$/.test(pattern),
);

/** The part of a pattern that names an upstream, unless it is wild. */
export function upstreamOf(pattern: string): string | undefined {
  const first = /^[^/]+(?=\/)/.exec(pattern)?.[0];
  return first === undefined || first.includes("*") ? undefined : first;
}

/** The pattern in the words that it is compared with: the upstream's canonical name, and `library/` where requests get it. */
export function canonicalPattern(pattern: string, canonical: ReadonlyMap<string, string>): string {
  const written = upstreamOf(pattern);
  if (written === undefined) return pattern;
  const upstream = canonical.get(written) ?? written;
  return `${upstream}/${canonicalRepository(pattern.slice(written.length + 1), upstream)}`;
}

/** A one-component name of Docker Hub is an official image. */
export function canonicalRepository(pattern: string, upstream: string): string {
  const isOfficial = upstream === dockerHub && !/\/|\*\*/.test(pattern);
  return isOfficial ? `library/${pattern}` : pattern;
}
