import { execFile } from "node:child_process";
import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { readDocument } from "../../packages/server/src/config/document.ts";
import { findTool } from "./needs.ts";

/** YAML of which a test reads a few leaves; what is not there fails it. */
// oxlint-disable-next-line typescript/no-explicit-any
export type Tree = Readonly<Record<string, any>>;

export const chart = fileURLToPath(new URL("../../deploy/helm/pullring", import.meta.url));
export const examples = join(chart, "examples");

const execute = promisify(execFile);

/** Never a failure: the script can build it only where there is a Go that reaches its registry. */
export const needsHelm = (): string | false =>
  findTool("helm") === undefined ? "needs helm (scripts/install-tools.sh builds it where there is a Go)" : false;

export const helm = (...args: readonly string[]): Promise<{ stdout: string }> => execute("helm", args);

export interface Rendered {
  /** Fails where there is none. */
  readonly of: (kind: string, name: string) => Tree;
  readonly all: readonly Tree[];
}

/** What the chart makes of the arguments, as the release `pullring` in the namespace `images`. */
export async function render(...args: readonly string[]): Promise<Rendered> {
  const { stdout } = await helm("template", "pullring", chart, "--namespace", "images", ...args);
  const documents = stdout.split(/^---$/m).filter((part) => /^\w/m.test(part));
  const all = documents.map((part) => readDocument(part, "chart").tree as Tree);
  const of = (kind: string, name: string): Tree =>
    all.find((one) => one["kind"] === kind && one["metadata"].name === name) ?? assert.fail(`no ${kind} ${name}`);
  return { all, of };
}
