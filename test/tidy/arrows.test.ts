import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { files, isTest, packageOf, root } from "./sources.ts";

/** What a package may import of the workspace. The three adapters never import each other; testkit is for tests only. */
const arrows: Readonly<Record<string, readonly string[]>> = {
  oci: [],
  "hash-ring": [],
  "plain-http": [],
  core: ["oci", "hash-ring"],
  storage: ["core", "oci"],
  upstream: ["core", "oci", "plain-http"],
  cluster: ["core", "oci", "hash-ring", "plain-http"],
  dashboard: [],
  server: ["storage", "upstream", "cluster", "dashboard", "core", "oci", "hash-ring"],
  cli: ["server"],
  testkit: ["core", "oci", "hash-ring"],
};

const importGrammar = /^(?:import|export)\s[^;]*?\bfrom\s+"([^"]+)"|^import\s+"([^"]+)"|\bimport\("([^"]+)"\)/gm;
const imports = (text: string): string[] =>
  [...text.matchAll(importGrammar)].map((match) => match[1] ?? match[2] ?? match[3] ?? "");

test("every package is in the table of arrows", () => {
  assert.deepEqual(new Set(files("packages/*/package.json").map(packageOf)), new Set(Object.keys(arrows)));
});

test("packages import along the arrows only, and by name", () => {
  const wrong = files("packages/*/src/**/*.ts").flatMap((source) => {
    const allowed = arrows[packageOf(source)] ?? [];
    return imports(source.text).flatMap((name) => {
      const inside = /^@pullring\/(.*)$/.exec(name)?.[1];
      if (inside === undefined) return leaves(source.path, name) ? [`${source.path} → ${name}`] : [];
      const testing = inside === "testkit" && isTest(source);
      return allowed.includes(inside) || testing ? [] : [`${source.path} → ${name}`];
    });
  });
  assert.deepEqual(wrong, []);
});

/** A relative import that ends in another package. */
function leaves(path: string, name: string): boolean {
  if (!name.startsWith(".")) return false;
  const target = new URL(name, `file:///${path}`).pathname.slice(1);
  return target.split("/")[1] !== path.split("/")[1];
}

test("core, oci and hash-ring do no I/O", () => {
  const pure = files("packages/{core,oci,hash-ring}/src/**/*.ts").filter((source) => !isTest(source));
  const wrong = pure.flatMap(({ path, text }) =>
    imports(text)
      .filter((name) => !/^(?:@pullring\/(?:oci|core|hash-ring)|\.{1,2}\/.*|node:crypto)$/.test(name))
      .map((name) => `${path} → ${name}`),
  );
  assert.deepEqual(wrong, []);
});

test("what a package imports it declares", () => {
  const wrong = files("packages/*/src/**/*.ts").flatMap((source) => {
    const manifest = JSON.parse(readFileSync(`${root}packages/${packageOf(source)}/package.json`, "utf8")) as {
      dependencies: Record<string, string>;
      devDependencies?: Record<string, string>;
    };
    const declared = {
      ...manifest.dependencies,
      ...(isTest(source) ? { ...manifest.devDependencies, "fast-check": "" } : {}),
    };
    return imports(source.text)
      .map((name) => /^(@[^/]+\/[^/]+|[^./][^/]*)/.exec(name)?.[1] ?? "")
      .filter((name) => name !== "" && !name.startsWith("node:") && !(name in declared))
      .map((name) => `${source.path} → ${name}`);
  });
  assert.deepEqual(wrong, []);
});
