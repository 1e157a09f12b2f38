import { textKind, type Kind } from "./scalar.ts";

/** RFC 1123, in lower case. */
export const hostName = /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/;
const upstreamName = new RegExp(`${hostName.source.slice(0, -1)}(?::\\d{1,5})?$`);

export const upstreamKind = textKind(
  "upstream",
  "the host of a registry in lower case, with its port if it has one, such as ghcr.io or registry.local:5000",
  upstreamName,
);

// Both stand in lane names, `<account>@<egress>@<node>`, which are log fields and metric labels.
const laneWord = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
export const nodeKind = textKind("name", "1 to 64 letters, digits, dots, dashes and underscores", laneWord);
export const accountKind: Kind<string> = {
  type: "name",
  allowed: `${nodeKind.allowed}, but not "anonymous"`,
  parse: (found) => (found === "anonymous" ? undefined : nodeKind.parse(found)),
};

// RFC 7617: a colon would end the name early.
export const usernameKind = textKind("text", "text without a colon and control characters", /^[^:\p{Cc}]+$/u);
export const secretKind = textKind("secret", 'text, quoted if it looks like a number (password: "1234")', /./su);
export const fileKind = textKind("file", "the path of a file", /^[^\0]+$/);
export const directoryKind = textKind("directory", "the path of a directory", /^[^\0]+$/);

export const flagKind: Kind<boolean> = {
  type: "true or false",
  allowed: "true or false",
  parse: (found) => (typeof found === "boolean" ? found : undefined),
};

export function countKind(min: number, max: number): Kind<number> {
  return {
    type: "number",
    allowed: `a whole number from ${min} to ${max}`,
    parse: (found) =>
      Number.isInteger(found) && (found as number) >= min && (found as number) <= max ? (found as number) : undefined,
  };
}

export function wordKind<const T extends string>(...words: readonly T[]): Kind<T> {
  return {
    type: words.join(", "),
    allowed: `one of ${words.join(", ")}`,
    parse: (found) => words.find((word) => word === found),
  };
}

/** `scheme://host[:port]` and no more: what a path, a query or a user in it would mean is nowhere defined. */
function parseOrigin(found: unknown): URL | undefined {
  if (typeof found !== "string" || !/^https?:\/\/[^/?#@\\\s]+\/?$/i.test(found) || !URL.canParse(found))
    return undefined;
  return new URL(found);
}

export const originKind: Kind<URL> = {
  type: "URL",
  allowed: "an http or https URL of a host and a port, no path, such as https://registry.example.org:5000",
  parse: parseOrigin,
};
