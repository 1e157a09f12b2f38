import { isIP } from "node:net";

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

/** Whatever nginx takes behind `server`: it is hashed as it is written. */
export const ringNameKind = textKind(
  "ring name",
  "1 to 128 letters, digits and . : _ - / [ ], as the load balancer has it, such as n1:5000",
  /^[\w.:/[\]-]{1,128}$/,
);

// Braces would pick the slot of a key in a Redis Cluster.
export const keyPrefixKind = textKind(
  "word",
  "1 to 64 letters, digits, dots, colons, dashes and underscores",
  /^[\w.:-]{1,64}$/,
);

export const hostKind: Kind<string> = {
  type: "host",
  allowed: "a host's name in lower case or an address, without a port",
  parse: (found) => (typeof found === "string" && (hostName.test(found) || isIP(found) !== 0) ? found : undefined),
};

// Looser than AWS: others take capitals and underscores.
export const bucketKind = textKind("bucket", "the name of a bucket", /^[A-Za-z0-9][\w.-]{1,61}[A-Za-z0-9]$/);
export const regionKind = textKind("region", "a region such as eu-central-1", /^[A-Za-z0-9-]{1,64}$/);
/** What is an object's name on every server and a path to nobody. */
export const objectPrefixKind = textKind(
  "prefix",
  "words of letters, digits, dashes and underscores with slashes between them, such as cache/pullring",
  /^(?:[\w-]+(?:\/[\w-]+)*)?$/,
);

export const fileKind = textKind("file", "the path of a file", /^[^\0]+$/);
export const directoryKind = textKind("directory", "the path of a directory", /^[^\0]+$/);

export const flagKind: Kind<boolean> = {
  type: "true or false",
  allowed: "true or false",
  parse: (found) => (typeof found === "boolean" ? found : undefined),
  fromText: (text) => (text === "true" || text === "false" ? text === "true" : text),
};

export function countKind(min: number, max: number): Kind<number> {
  return {
    type: "number",
    allowed: `a whole number from ${min} to ${max}`,
    parse: (found) =>
      Number.isInteger(found) && (found as number) >= min && (found as number) <= max ? (found as number) : undefined,
    fromText: (text) => (/^\d{1,15}$/.test(text) ? Number(text) : text),
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

const redisUrl = /^rediss?:\/\/(?:\[[\da-f:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?(?:\/\d{0,3})?$/i;

/** No user or password: what stands in a URL ends in logs. */
export const redisUrlKind: Kind<string> = {
  type: "URL",
  allowed:
    "redis://host:port or rediss://host:port, perhaps with /<database>; user and password have keys of their own",
  parse: (found) =>
    typeof found === "string" && redisUrl.test(found) && URL.canParse(found) ? found.replace(/\/$/, "") : undefined,
};
