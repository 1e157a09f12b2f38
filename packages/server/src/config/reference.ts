// `node packages/server/src/config/reference.ts --write` brings the generated part of docs/configuration.md up to date.
import { readFileSync, writeFileSync } from "node:fs";

import { stringify } from "yaml";
import type * as z from "zod";

import { knownUpstreams } from "./known-upstreams.ts";
import { keyOf, type Key, type Shape } from "./schema-tree.ts";
import { schema } from "./schema.ts";

export const referenceFile = new URL("../../../../docs/configuration.md", import.meta.url);

const marks = { begin: "<!-- reference:begin -->", end: "<!-- reference:end -->" } as const;

interface Row {
  readonly path: string;
  readonly type: string;
  readonly key: Key;
}

/** Every key of the schema, in its order. */
function rowsOf(item: z.core.$ZodType, path: string): Row[] {
  const key = keyOf(item);
  const inner = childrenOf(key.shape, path).flatMap(([child, childPath]) => rowsOf(child, childPath));
  return key.meta["description"] === undefined ? inner : [{ path, type: typeOf(key), key }, ...inner];
}

function childrenOf(shape: Shape, path: string): [z.core.$ZodType, string][] {
  if (shape.is === "section") {
    return Object.entries(shape.keys).map(([name, child]) => [child, path === "" ? name : `${path}.${name}`]);
  }
  if (shape.is === "scalar") return [];
  // A list's plain items have nothing to say beyond the list's own row.
  return [[shape.item, shape.is === "map" ? `${path}.<host>` : `${path}[]`]];
}

function typeOf({ shape, meta }: Key): string {
  if (shape.is === "scalar") return String(meta["type"]);
  if (shape.is === "section") return "section";
  const item = keyOf(shape.item);
  return item.shape.is === "scalar" ? `${shape.is} of ${plural(typeOf(item))}` : shape.is;
}

const plural = (noun: string): string => `${noun}${noun.endsWith("s") ? "es" : "s"}`;

/** As it would stand in a file. */
const yaml = (value: unknown): string =>
  stringify(value, { collectionStyle: "flow", flowCollectionPadding: false, lineWidth: 0 }).trim();

function defaultOf({ default: value, isOptional, meta }: Key): string {
  if (typeof meta["unset"] === "string") return meta["unset"];
  if (value !== undefined) return `\`${yaml(value)}\``;
  return isOptional ? "none" : "required";
}

const line = (...cells: readonly string[]): string =>
  `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;

function keyTable(): string[] {
  const rows = rowsOf(schema, "").map(({ path, type, key }) => {
    const { description, example } = key.meta;
    return line(
      `\`${path}\``,
      type,
      defaultOf(key),
      String(description),
      example === undefined ? "" : `\`${yaml(example)}\``,
    );
  });
  return [line("Key", "Type", "Default", "Meaning", "Example"), "|---|---|---|---|---|", ...rows];
}

function upstreamTable(): string[] {
  const codes = (texts: readonly string[]): string => texts.map((text) => `\`${text}\``).join(", ");
  const rows = Object.entries(knownUpstreams).map(
    ([host, { url, aliases = [], tokenOrigins = [new URL(url).origin] }]) =>
      line(codes([host]), codes([url]), codes(aliases), codes(tokenOrigins)),
  );
  return [line("Host", "`url`", "`aliases`", "`tokenOrigins`"), "|---|---|---|---|", ...rows];
}

/** The generated part of the reference. */
export function renderReference(): string {
  return [
    // The formatter would pad the tables, and every change of one row would change all.
    "<!-- prettier-ignore-start -->",
    "",
    ...keyTable(),
    "",
    "### Registries known by name",
    "",
    ...upstreamTable(),
    "",
    "<!-- prettier-ignore-end -->",
  ].join("\n");
}

/** The document with its generated part as it should be. */
export function withReference(document: string): string {
  const [before, rest] = document.split(marks.begin);
  const after = rest?.split(marks.end)[1];
  if (before === undefined || after === undefined) throw new Error(`the document has no ${marks.begin} … ${marks.end}`);
  return `${before}${marks.begin}\n\n${renderReference()}\n\n${marks.end}${after}`;
}

if (import.meta.main && process.argv.includes("--write")) {
  writeFileSync(referenceFile, withReference(readFileSync(referenceFile, "utf8")));
}
