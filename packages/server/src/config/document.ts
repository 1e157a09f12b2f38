import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, visit, type Document, type Node } from "yaml";

import type { Path } from "./path.ts";
import { ConfigError, type Problem } from "./problem.ts";

/** A configuration file that was read. */
export interface Source {
  readonly tree: unknown;
  /** `file:line:column` of a key, or of the nearest thing around it that stands in the file. */
  readonly locate: (path: Path) => string | undefined;
}

/** Reads YAML 1.2 (and so JSON). Throws a ConfigError that names line and column, and that quotes nothing of the file. */
export function readDocument(text: string, file: string): Source {
  const lines = new LineCounter();
  // The parser's pretty errors quote lines, and its plain ones words, which may be passwords: only codes and places are used.
  const options = {
    lineCounter: lines,
    prettyErrors: false,
    stringKeys: true,
    version: "1.2",
    schema: "core",
  } as const;
  const document = parseDocument(text, options);
  const place = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  const faults = [...document.errors, ...document.warnings, ...danglingAliases(document)];
  if (faults.length > 0) throw new ConfigError(faults.map(({ pos, code }) => wrongYaml(place(pos[0]), code)));
  return {
    tree: toTree(document, file),
    locate(path) {
      const offset = offsetOf(document, path);
      return offset === undefined ? undefined : place(offset);
    },
  };
}

interface Fault {
  readonly pos: readonly [number, ...unknown[]];
  readonly code: string;
}

/** The parser leaves these for later, when it no longer tells where they stand. */
function danglingAliases(document: Document): Fault[] {
  const faults: Fault[] = [];
  visit(document, {
    Alias(_, alias) {
      if (!alias.resolve(document)) faults.push({ pos: [alias.range?.[0] ?? 0], code: "BAD_ALIAS" });
    },
  });
  return faults;
}

function toTree(document: Document, file: string): unknown {
  try {
    return document.toJS() ?? {};
  } catch {
    // An alias that multiplies: the library refuses the hundredth, and says so by a throw.
    throw new ConfigError([wrongYaml(file, "BAD_ALIAS")]);
  }
}

const meanings: Readonly<Record<string, string>> = {
  BAD_ALIAS: "an alias without its anchor, or too many of them",
  BAD_INDENT: "lines whose indentation does not fit",
  DUPLICATE_KEY: "a key that is given twice",
  MISSING_CHAR: "text where a sign (a quote, a bracket, a comma, a colon) is missing",
  MULTIPLE_DOCS: "a second document",
  NON_STRING_KEY: "a key that is not text",
  TAB_AS_INDENT: "a tab as indentation",
  TAG_RESOLVE_FAILED: "a tag that nothing here knows",
};

const wrongYaml = (place: string, code: string): Problem => ({
  key: place,
  found: meanings[code] ?? `what YAML does not allow here (${code})`,
  allowed: "one YAML document",
});

function offsetOf(document: Document, path: Path): number | undefined {
  let node: unknown = document.contents;
  let offset = (node as Node | null)?.range?.[0];
  for (const step of path) {
    if (isAlias(node)) node = node.resolve(document);
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && key.value === step);
      offset = (pair?.key as Node | undefined)?.range?.[0] ?? offset;
      node = pair?.value;
    } else if (isSeq(node)) {
      node = node.items[Number(step)];
      offset = (node as Node | undefined)?.range?.[0] ?? offset;
    } else return offset;
  }
  return offset;
}
