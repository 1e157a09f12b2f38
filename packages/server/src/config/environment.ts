import { folded, nearest } from "./nearest.ts";
import { isMap, type Path } from "./path.ts";
import type { Problem } from "./problem.ts";
import { keyAt, keyOf, type Key } from "./schema-tree.ts";
import { schema } from "./schema.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** The process' own. Nothing else reads it. */
export const processEnvironment = (): Environment => process.env;

/** A key that a variable gives. */
export interface Setting {
  readonly path: readonly string[];
  /** Text, or what JSON says for a section, a map or a list. */
  readonly value: unknown;
  readonly variable: string;
}

const prefix = "PULLRING_";

/** `PULLRING_CONFIG` names the file. What begins with `PULLRING_TEST_` is for tests of deployments. */
const exempt = /^PULLRING_(?:CONFIG$|TEST_)/;

/**
 * Kubernetes gives every pod the addresses of the services in its namespace, as `<SERVICE>_PORT`, `<SERVICE>_SERVICE_HOST`, …. With a
 * service called pullring or pullring-peer these look like ours; none is a key's, because none has two underscores in a row.
 */
const serviceLink =
  /^PULLRING_(?!.*__)(?:[A-Z0-9]+_)*?(?:SERVICE_(?:HOST|PORT(?:_[A-Z0-9_]+)?)|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)$/;

/** What the variables set, the outer before the inner, and what is wrong with them. Shows no value: it may be a secret. */
export function readEnvironment(environment: Environment): { settings: Setting[]; problems: Problem[] } {
  const settings = new Map<string, Setting>();
  const problems: Problem[] = [];
  for (const [variable, text] of Object.entries(environment).sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (text === undefined || !variable.startsWith(prefix) || exempt.test(variable) || serviceLink.test(variable))
      continue;
    const setting = settingOf(variable, text);
    const twin = "path" in setting ? settings.get(setting.path.join(".")) : undefined;
    if ("found" in setting) problems.push(setting);
    else if (twin)
      problems.push({ key: variable, found: `the key that ${twin.variable} gives too`, allowed: "one of them" });
    else settings.set(setting.path.join("."), setting);
  }
  return { settings: [...settings.values()].sort((a, b) => a.path.length - b.path.length), problems };
}

function settingOf(variable: string, text: string): Setting | Problem {
  const segments = variable.slice(prefix.length).split("__");
  const path: string[] = [];
  let key = keyOf(schema);
  for (const segment of segments) {
    if (key.shape.is === "map" || key.shape.is === "list") return insideOf(variable, path);
    const name = namesIn(key).find((candidate) => folded(candidate) === folded(segment));
    if (name === undefined) return unknownVariable(variable, segments);
    path.push(name);
    key = keyAt(schema, path) ?? key;
  }
  return key.shape.is === "scalar" ? { path, value: fromText(key, text), variable } : fromJson(path, text, variable);
}

/** Variables are text; a flag's and a number's mean what they would in YAML, and anything else stays to be refused. */
function fromText({ meta }: Key, text: string): unknown {
  const read = meta["fromText"] as ((text: string) => unknown) | undefined;
  return read ? read(text) : text;
}

function fromJson(path: readonly string[], text: string, variable: string): Setting | Problem {
  try {
    return { path, value: JSON.parse(text), variable };
  } catch {
    // The engine's message quotes the text.
    return { key: path.join("."), where: variable, found: "text that is not JSON", allowed: "the whole of it as JSON" };
  }
}

const namesIn = ({ shape }: Key): string[] => (shape.is === "section" ? Object.keys(shape.keys) : []);

const variableOf = (path: Path): string =>
  prefix +
  path
    .map((step) =>
      String(step)
        .replace(/(?=[A-Z])/g, "_")
        .toUpperCase(),
    )
    .join("__");

function insideOf(variable: string, path: Path): Problem {
  return {
    key: variable,
    found: "a variable for a part of a map or list",
    allowed: `${variableOf(path)} with the whole as JSON`,
  };
}

function unknownVariable(variable: string, segments: readonly string[]): Problem {
  const likely = nearest(
    segments.join("__"),
    allVariables().map((name) => name.slice(prefix.length)),
  );
  const hint = likely === undefined ? "" : `; did you mean ${prefix}${likely}?`;
  return {
    key: variable,
    found: "a variable that names no key",
    allowed: `${prefix}, then a key's path with __ between its levels${hint}`,
  };
}

/** Every variable there is, in the form that is documented. */
function allVariables(path: readonly string[] = []): string[] {
  const key = keyAt(schema, path);
  if (key?.shape.is !== "section") return [variableOf(path)];
  return namesIn(key).flatMap((name) => allVariables([...path, name]));
}

/** The tree with these settings over it. Where a map should be and something else is, that stays, to be refused. */
export function overlay(tree: unknown, settings: readonly Setting[]): unknown {
  return settings.reduce((under, { path, value }) => withValue(under, path, value), tree);
}

function withValue(tree: unknown, [step, ...rest]: readonly string[], value: unknown): unknown {
  if (step === undefined) return value;
  if (tree !== undefined && tree !== null && !isMap(tree)) return tree;
  return { ...tree, [step]: withValue(tree?.[step], rest, value) };
}
