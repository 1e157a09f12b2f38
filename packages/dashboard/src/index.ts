/** The page that the admin listener serves: its files as a browser takes them, and the policy that it lives under. README.md tells the rest. */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { basename } from "node:path";

import { stripTypes } from "./strip-types.ts";

export interface PageFile {
  readonly contentType: string;
  readonly bytes: Buffer;
  /** Strong, of the bytes. */
  readonly etag: string;
}

export interface Page {
  /** By path, from `/`. Nothing else of the page is ever asked for. */
  readonly files: ReadonlyMap<string, PageFile>;
  /** For the header of every file: nothing from elsewhere, nothing inline but the map of modules. */
  readonly contentSecurityPolicy: string;
}

const folder = new URL("page/", import.meta.url);
const at = "/page/";

/** What the page takes from packages: one file each, which imports nothing; where it is, as seen from what Node itself would load. */
const libraries = {
  "lit-html": "../lit-html.js",
  uplot: "./uPlot.esm.js",
} as const;

const pathOf = (file: string): string => `${at}${basename(file)}`;
const imports = Object.fromEntries(Object.entries(libraries).map(([name, file]) => [name, pathOf(file)]));
const importMap = JSON.stringify({ imports });

/** Reads the files and takes the types out of the scripts. Some tens of milliseconds: once, when somebody first looks. */
export async function openPage(): Promise<Page> {
  const files = new Map<string, PageFile>();
  const add = (path: string, contentType: string, content: string | Buffer): void => {
    const bytes = Buffer.from(content);
    files.set(path, { contentType, bytes, etag: `"${createHash("sha256").update(bytes).digest("base64url")}"` });
  };
  const html = (await readFile(new URL("index.html", folder), "utf8")).replace("{{imports}}", importMap);
  add("/", "text/html; charset=utf-8", html);
  add(`${at}style.css`, "text/css; charset=utf-8", await styles());
  add(`${at}icon.svg`, "image/svg+xml", await readFile(new URL("icon.svg", folder)));
  for (const [name, file] of Object.entries(libraries))
    add(pathOf(file), "text/javascript; charset=utf-8", await readFile(new URL(file, import.meta.resolve(name))));
  const scripts = (await readdir(folder, { recursive: true })).filter(isScript);
  const texts = await Promise.all(scripts.map((name) => readFile(new URL(name, folder), "utf8")));
  for (const [index, text] of (await stripTypes(texts)).entries())
    add(`${at}${scripts[index]}`, "text/javascript; charset=utf-8", text);
  return { files, contentSecurityPolicy: policy(html) };
}

const isScript = (name: string): boolean => name.endsWith(".ts") && !name.endsWith(".test.ts");

async function styles(): Promise<string> {
  const charts = new URL("uPlot.min.css", import.meta.resolve("uplot"));
  const [library, own] = await Promise.all([readFile(charts, "utf8"), readFile(new URL("style.css", folder), "utf8")]);
  return `${library}\n${own}`;
}

/** The map of modules is the one script that stands in the document; the policy names it by its text, to the last space. */
function policy(html: string): string {
  const [, inline = ""] = /<script type="importmap">([^]*?)<\/script>/.exec(html) ?? [];
  const hash = createHash("sha256").update(inline).digest("base64");
  return [
    "default-src 'none'",
    `script-src 'self' 'sha256-${hash}'`,
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types lit-html",
  ].join("; ");
}
