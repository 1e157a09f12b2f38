import { execFile } from "node:child_process";
import { mkdtempDisposable, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import type { Tree } from "./helm.ts";

const execute = promisify(execFile);
const root = fileURLToPath(new URL("../../", import.meta.url));

/** Where the generated interface of a kind is: `apps/v1` of `kubernetes-models` has IStatefulSet. */
function moduleOf(apiVersion: string): string {
  const base = apiVersion.startsWith("monitoring.") ? "@kubernetes-models/prometheus-operator" : "kubernetes-models";
  return `${base}/${apiVersion}`;
}

/**
 * What the API's own types (generated from its OpenAPI document) have against manifests: the compiler's words, "" for nothing. Fields that
 * do not exist, wrong types and missing ones are told, since each manifest is an object literal to the compiler.
 */
export async function typeErrorsOf(manifests: readonly Tree[]): Promise<string> {
  const lines = manifests.map((manifest, index) => {
    const { apiVersion, kind } = manifest as { apiVersion: string; kind: string };
    const type = `import("${moduleOf(apiVersion)}").I${kind}`;
    return `export const manifest${index}: ${type} = ${JSON.stringify(manifest, null, 1)};`;
  });
  // Inside the checkout, so that packages are found.
  await using folder = await mkdtempDisposable(join(root, "node_modules/.manifests-"));
  const file = join(folder.path, "manifests.ts");
  await writeFile(file, lines.join("\n"));
  const options = [
    "--noEmit",
    "--strict",
    "--skipLibCheck",
    "--ignoreConfig",
    "--module",
    "nodenext",
    "--target",
    "esnext",
  ];
  return await execute(join(root, "node_modules/.bin/tsc"), [...options, file]).then(
    () => "",
    ({ stdout }: { stdout: string }) => stdout || "the compiler did not run",
  );
}
