/** Longer texts are cut before they are searched. */
const textCharsMax = 4096;
const entriesMax = 64;
const depthMax = 6;

const hidden = "***";

const secretName = /authorization|cookie|passw(?:or)?d|secret|token|credential|api-?key|private-?key/i;
/** Names of what only points to a secret, or tells how long it is good. */
const harmlessName = /(?:file|origins?|ms|sec)$/i;

/** Words in a text that are secret whatever they belong to. Each pattern looks at a character a bounded number of times. */
const secretWords: readonly (readonly [RegExp, string])[] = [
  // Query strings: signed URLs of registries carry their signature there.
  [/\?[^\s"'<>]+/g, `?${hidden}`],
  [/\/\/[^\s/@"'<>]{1,1024}@/g, `//${hidden}@`],
  [/\b(Basic|Bearer)\s+[\w.~+/=-]+/gi, `$1 ${hidden}`],
  [
    /([\w-]{0,32}(?:authorization|cookie|passw(?:or)?d|secret|token|credential|api-?key)[\w-]{0,32}["']?\s{0,4}[:=]\s{0,4})(?:"(?:[^"\\]|\\.)*"?|'[^']*'?|[^\s,;&"']+)/gi,
    `$1${hidden}`,
  ],
];

/** The text without what looks like a credential in it. */
export function scrubText(text: string): string {
  const cut = text.length > textCharsMax ? `${text.slice(0, textCharsMax)}…` : text;
  return secretWords.reduce((rest, [pattern, replacement]) => rest.replace(pattern, replacement), cut);
}

/**
 * A copy for the log: values under secret names hidden, texts scrubbed, errors with their causes, everything bounded. Finds what
 * somebody logs by mistake; whoever handles a secret keeps it out of reach all the same.
 */
export function scrub(value: unknown, depth = 0): unknown {
  if (typeof value === "string") return scrubText(value);
  if (typeof value === "bigint") return String(value);
  if (typeof value === "function" || typeof value === "symbol") return undefined;
  if (typeof value !== "object" || value === null) return value;
  if (depth >= depthMax) return "…";
  if (value instanceof Error) return scrubError(value, depth);
  if (ArrayBuffer.isView(value)) return `<${value.byteLength} bytes>`;
  if (hasJson(value)) return scrub(value.toJSON(), depth + 1);
  if (value instanceof Map) return scrubEntries([...value.entries()], depth);
  if (Array.isArray(value) || value instanceof Set)
    return [...value].slice(0, entriesMax).map((entry) => scrub(entry, depth + 1));
  return scrubEntries(Object.entries(value), depth);
}

const hasJson = (value: object): value is { toJSON(): unknown } =>
  "toJSON" in value && typeof value.toJSON === "function";

function scrubEntries(entries: readonly (readonly [unknown, unknown])[], depth: number): Record<string, unknown> {
  const scrubbed = entries.slice(0, entriesMax).map(([key, value]): [string, unknown] => {
    const name = String(key);
    const secret = secretName.test(name) && !harmlessName.test(name) && value !== undefined;
    return [name, secret ? hidden : scrub(value, depth + 1)];
  });
  return Object.fromEntries(scrubbed);
}

function scrubError(error: Error, depth: number): Record<string, unknown> {
  const { cause, message, name, stack = "" } = error;
  return {
    ...scrubEntries(Object.entries(error), depth),
    type: name,
    message: scrubText(message),
    stack: scrubText(stack),
    ...(cause === undefined ? {} : { cause: scrub(cause, depth + 1) }),
  };
}
