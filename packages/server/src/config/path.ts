/** Where a value stands in the configuration: keys of maps and indices of lists. */
export type Path = readonly (string | number)[];

export const isMap = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

// By the contract's names, so that the keys of later versions and the `…File` twins count too: what stands at a twin may be the secret
// itself, by mistake. A username that is refused has a colon in it, and then perhaps a password.
const secretNames =
  "(?:sentinel)?username|accessKeyId|(?:(?:sentinel)?password|secret|secretAccessKey|token|headers)(?:File)?";
const secretKey = new RegExp(`^(?:${secretNames})$`, "i");
const secretInKey = new RegExp(`^(${secretNames})[:=].*`, "is");

export const isSecret = (path: Path): boolean => path.some((step) => secretKey.test(String(step)));

/** `accounts[0].name`. A key that could break the line or pass for several is quoted. */
export function pathText(path: Path): string {
  return path
    .map((step) => (typeof step === "number" ? `[${step}]` : `.${keyText(step)}`))
    .join("")
    .replace(/^\./, "");
}

function keyText(key: string): string {
  // YAML takes `{ password:hunter2 }`, the space forgotten, for one key.
  const safe = withoutCredentials(key).replace(secretInKey, "$1:***");
  return (safe !== key && safe.length < 80) || /^[\w.:<>-]{1,255}$/.test(safe) ? safe : quoted(safe);
}

/** A URL without user and query, which may be or hold a password. */
export const withoutCredentials = (text: string): string =>
  text.replace(/\/\/.*@/s, "//***@").replace(/(?<=:\/\/.*)\?.*/s, "?***");

/** JSON's quotes, with an end to it. */
export const quoted = (text: string): string => JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);

/** undefined = nothing there. Reads own properties only: keys come from files. */
export function valueAt(tree: unknown, path: Path): unknown {
  let value = tree;
  for (const step of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, step)) return undefined;
    value = (value as Readonly<Record<string | number, unknown>>)[step];
  }
  return value;
}
