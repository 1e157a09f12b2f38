import { globSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../../", import.meta.url));

/** A block of commands in a document, with the comment in front of it that says whether it is run, and by what. */
export interface CommandBlock {
  readonly document: string;
  /** `run`, `run in the background`, `run by: PATH`, `not run: REASON`; undefined = nothing says. */
  readonly mark: string | undefined;
  readonly text: string;
}

const grammar = /(?:<!-- ((?:not )?run\b[^>]*?) -->\n\n)?^```sh\n(.*?)^```$/gms;

export const documents = (): readonly string[] =>
  globSync(["*.md", "docs/**/*.md", "deploy/**/README.md"], { cwd: root }).sort();

export const commandBlocks = (document: string): readonly CommandBlock[] =>
  [...readFileSync(`${root}${document}`, "utf8").matchAll(grammar)].map(([, mark, text = ""]) => ({
    document,
    mark,
    text,
  }));
